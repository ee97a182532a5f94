"""Structured pruning: what can only be cut together, how much each is worth, and the cut itself."""
