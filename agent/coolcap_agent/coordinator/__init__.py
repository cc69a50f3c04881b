"""The site coordinator: divides one power budget among halls, over the operator API of each."""
