"""`python -m edgecompile` is the command line."""

import sys

from edgecompile.cli.main import main

sys.exit(main())
