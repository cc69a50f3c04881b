"""Drivers: one file per kind of hardware behind two protocols. Start with ``base.py``."""
