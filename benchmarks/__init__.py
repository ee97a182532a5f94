"""Measures compiled networks against other runtimes; `make bench` runs it."""
