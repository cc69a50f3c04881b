"""Demand for the GPUs' work: seeded generators, one member of a batch at a time."""
