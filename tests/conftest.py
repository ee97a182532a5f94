"""How property tests draw their examples.

A change is judged by the same examples everywhere (profile `repeatable`); `make fuzz` draws new ones.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("repeatable")
