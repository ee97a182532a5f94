"""ONNX operators as functions of PyTorch tensors, one file a family."""
