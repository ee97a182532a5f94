"""Quantized networks: their bit-exact reference."""
