"""Executes saved Core ML models in NumPy, without Core ML and without coremltools."""
