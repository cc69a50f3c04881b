"""Daemons beside the hardware, the controller and the operator's commands."""
