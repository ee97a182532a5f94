"""Qualcomm's Hexagon NPU, called HTP: QDQ networks, its compiler, and its emulator."""
