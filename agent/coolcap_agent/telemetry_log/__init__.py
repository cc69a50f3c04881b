"""What is logged of a site: the schema, and the recorder that writes it to a sink."""
