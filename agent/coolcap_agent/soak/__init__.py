"""A fleet of ten thousand simulated GPUs: real protocol, light hardware, to load a controller."""
