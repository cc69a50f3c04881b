"""Faults of a simulated site: planned or drawn by rates, and what they do to plant and readings."""
