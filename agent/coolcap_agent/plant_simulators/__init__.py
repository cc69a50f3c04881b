"""Simulated field devices, stricter than the libraries they are built with, for tests and demo.

Start with ``hall.py``: what stands behind every device; then one file per protocol.
"""
