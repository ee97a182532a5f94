"""What tuning records had a say in a compilation, for people."""

from __future__ import annotations

from typing import Any


def describe_tuning(tuning: dict[str, Any]) -> list[str]:
    """Lines for the `tuning` part of a report; none for a network without kernels to tune."""
    by_record, built_in, stale = (tuning.get(name, []) for name in ("by_record", "built_in", "stale"))
    if not (by_record or built_in or stale):
        return []
    devices = sorted({str(entry["device"]) for entry in by_record})
    measured = f" ({devices[0]})" if len(devices) == 1 else ""
    left, gain = len(built_in) + len(stale), tuning.get("expected_gain")
    hope = "nobody knows what tuning would bring" if gain is None else f"tuned about {gain:.2f}x as fast"
    rest = f", {left} by the built-in choice: {hope}" if left else ""
    lines = [f"tuning   {len(by_record)} kernels by record{measured}{rest}"]
    if stale:
        lines.append(f"note: {len(stale)} kernels have records of another version; tune them again")
    return [*lines, *(f"note: {note}" for note in tuning.get("notes", []))]
