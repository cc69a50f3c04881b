"""The relay: one agent that passes messages between a controller and the node agents of a rack."""
