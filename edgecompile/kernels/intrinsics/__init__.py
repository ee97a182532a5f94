"""Micro-kernels: how an instruction set multiplies and accumulates a register tile."""
