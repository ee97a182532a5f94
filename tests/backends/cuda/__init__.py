"""Tests of the backend for NVIDIA GPUs."""
