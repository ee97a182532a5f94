"""A GPU and its driver on a CPU, to execute the launcher as it is and the kernels as they were generated."""
