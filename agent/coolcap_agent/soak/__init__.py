"""A fleet of ten thousand simulated GPUs, real in protocol and light in hardware, to load a controller."""
