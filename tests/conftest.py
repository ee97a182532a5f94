"""How property tests draw their examples, and what programs under test inherit.

A change is judged by the same examples everywhere (profile `repeatable`); `make fuzz` draws new ones.
"""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """What a shell starts in the background ignores Ctrl-C, and programs under test would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
