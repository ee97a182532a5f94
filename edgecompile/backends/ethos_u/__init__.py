"""Arm Ethos-U: TensorFlow Lite, compiled by Vela to a command stream, in a C library for the core driver."""
