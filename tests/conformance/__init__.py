"""Conformance with the ONNX operator specification, by the node tests of the onnx package."""
