"""The table of TFLite operators that can be translated: name → function; its rows are in other modules."""

from __future__ import annotations

from collections.abc import Callable

from edgecompile.frontend.tflite.view import OperatorView

Translation = Callable[[OperatorView], None]
TRANSLATIONS: dict[str, Translation] = {}


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register the translation of operators `names` (as in TFLite's schema, "CONV_2D")."""

    def register(translate: Translation) -> Translation:
        for name in names:
            if name in TRANSLATIONS:
                raise AssertionError(f"{name} has two translations")
            TRANSLATIONS[name] = translate
        return translate

    return register
