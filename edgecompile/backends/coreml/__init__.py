"""Networks as Core ML models, for the Apple Neural Engine."""
