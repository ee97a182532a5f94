"""`python -m edgecompile` is the command line."""

from edgecompile.cli.main import run

run()
