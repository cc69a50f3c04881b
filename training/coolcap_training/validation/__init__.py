"""Validation of the simulated plant against measurements, other programs and physical bounds."""
