"""NVIDIA GPUs: CUDA C compiled to machine code, and a launcher in C that needs only the driver."""
