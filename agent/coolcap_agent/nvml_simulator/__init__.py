"""A ``libnvidia-ml.so.1`` over the shared hall: unmodified NVML clients see its simulated GPUs."""
