"""TensorFlow Lite files: read, translated to ONNX with the file's own quantization, checked."""
