"""Schedules for GPUs: a kernel is one grid of blocks of threads."""
