"""From a canonical ONNX graph to kernels (TIR), a memory plan and a C entry point."""
