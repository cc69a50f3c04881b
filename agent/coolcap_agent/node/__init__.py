"""The daemon beside the GPUs of one node (`coolcap node`)."""
