"""Packages: an artifact in the form that somebody's build system takes. Nothing is compiled again."""
