"""edgecompile: from a trained network to a verified, runtime-free binary for one device."""

__version__ = "0.1.0"
