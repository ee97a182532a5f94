"""Readers of trained networks: ONNX files, PyTorch modules and exported programs."""
