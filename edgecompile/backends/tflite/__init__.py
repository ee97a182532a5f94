"""TensorFlow Lite files: integer networks written operator by operator, to give the same integers there."""
