"""The web console: what the controller does and why, in a browser, and the few things to change."""
