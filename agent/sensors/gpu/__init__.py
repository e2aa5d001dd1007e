"""Energy and power of GPUs, through NVML."""
