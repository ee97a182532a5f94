"""What one operator does to labels: which elements of its result are there when which of its operands are."""
