"""Compute definitions and schedules: what each kernel computes, and how it runs fast on each ISA."""
