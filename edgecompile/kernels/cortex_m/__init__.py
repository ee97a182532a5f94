"""Integer kernels for Cortex-M, shipped as C: packing of their constants, and calls of them from kernels."""
