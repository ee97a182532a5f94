"""Graph passes: each file is one rewrite of the ONNX graph, proven against the graph before it."""
