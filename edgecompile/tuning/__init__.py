"""Search for faster kernels by measuring candidates on a device, and what was measured so far."""
