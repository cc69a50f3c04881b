"""The demonstration: the whole system in real processes around a simulated hall. See ``run.py``."""
