"""Render docs/tuning-results.md from benchmarks/results/tuning/*.json and tuning_time.json, and its pictures.

    python -m benchmarks.tuning_page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import markdown_table, write_results

Row = dict[str, Any]

PAGE = Path(__file__).parent.parent / "docs" / "tuning-results.md"
RESULTS = Path(__file__).parent / "results" / "tuning"
TIMES = RESULTS.with_name("tuning_time.json")

_NAMES = {"trained": "trained model", "untrained": "untrained model", "by_chance": "by chance"}
_COLORS = {"trained": "#1b7837", "untrained": "#2166ac", "by_chance": "#999999"}
_SHOWN = (1, 8, 16, 32, 64, 128, 256)
# The picture, in its own units; the space around the curves is for labels.
_WIDTH, _HEIGHT, _MARGIN = 560, 280, 48


def main() -> int:
    results = load_results()
    write_results(PAGE, render(results, load_times()))
    for result in results:
        picture(PAGE, result).write_text(draw(result["points"], result["mean"]["shares"]), encoding="utf-8")
    return 0


def load_results() -> list[Row]:
    """One entry a target."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def load_times() -> list[Row]:
    """How soon whole networks were tuned, one entry each."""
    if not TIMES.exists():
        return []
    rows: list[Row] = json.loads(TIMES.read_text(encoding="utf-8"))["rows"]
    return rows


def picture(page: Path, result: Row) -> Path:
    """The file of a target's curves, beside the page."""
    return page.with_name(f"tuning-{result['target']}.svg")


def render(results: Sequence[Row], times: Sequence[Row] = ()) -> str:
    """What stands below the mark: whole networks, then a part for each target."""
    parts = [*_networks(times), *(section for result in results for section in _sections(result))]
    return "\n".join(f"{part}\n" for part in parts) or "Nothing has been measured yet.\n"


def _networks(times: Sequence[Row]) -> list[str]:
    """How soon whole networks were as fast as by the shipped records."""
    if not times:
        return []
    columns = ("network", "target", "kernels", "trials", "a minute", "untuned", "after", "95% after")
    rows = (
        (
            row["network"],
            row["target"],
            str(row["kernels"]),
            str(row["trials"]),
            str(row["trials_per_minute"]),
            _share(row["untuned"]),
            ", ".join(f"{moment['seconds']:.0f} s: {_share(moment['share'])}" for moment in row["moments"]),
            "-" if row["reached_s"] is None else f"{row['reached_s']:.0f} s",
        )
        for row in times
    )
    return ["## Whole networks", _table(columns, rows)]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _sections(result: Row) -> list[str]:
    prior, mean, points = result["prior"], result["mean"], result["points"]
    shown = [point for point in _SHOWN if point in points]
    header = ["geometric mean of the best speed", *(f"{point} trials" for point in shown)]
    shares = [
        [_NAMES[name], *(f"{curve[points.index(point)]:.1%}" for point in shown)]
        for name, curve in mean["shares"].items()
    ]
    return [
        f"## {result['target']}, by {result['metric']}",
        f"{len(result['layers'])} layers, {result['seeds']} seeds, {result['batch']} candidates a batch. The "
        f"trained model knows {prior['records']:,} records of {prior['kernels']} other kernels.",
        f"![Best speed so far against trials](tuning-{result['target']}.svg)",
        _table(header, shares),
        "\n".join(_needed(level, needed) for level, needed in mean["needed"].items()),
        _table(
            (
                "layer",
                "type",
                "candidates",
                "built-in",
                "trained, 64",
                "untrained, 64",
                "stopped at",
                "there",
            ),
            (_cells(row, points) for row in result["layers"]),
        ),
    ]


def _needed(level: str, needed: Row) -> str:
    """Trials to a share of the best speed, in one line."""
    share = f"{float(level):.0%}"
    if not needed["layers"]:
        return f"- {share} of the best speed: the built-in choice of all layers is as good as that."
    trials = ", ".join(f"{needed[name]:.0f} {title}" for name, title in _NAMES.items())
    ratio = needed["trained"] / needed["untrained"]
    return (
        f"- Trials to {share} of the best speed, {needed['layers']} layers whose built-in choice is not as "
        f"good: {trials}. Trained by untrained: **{ratio:.2f}**."
    )


def _cells(row: Row, points: Sequence[int]) -> list[str]:
    at = points.index(64)
    return [
        row["name"],
        row["dtype"],
        str(row["candidates"]),
        f"{row['default']:.1%}",
        f"{row['shares']['trained'][at]:.1%}",
        f"{row['shares']['untrained'][at]:.1%}",
        str(round(sum(row["stopped"]["trained"]) / len(row["stopped"]["trained"]))),
        f"{min(row['stopped_at']['trained']):.1%}",
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(columns, rows, columns[:1])


def draw(points: Sequence[int], shares: Mapping[str, Sequence[float]]) -> str:
    """The curves as SVG: trials to the right (a logarithmic scale), the share of the best speed upwards."""
    least = math.floor(20 * min(value for curve in shares.values() for value in curve)) / 20
    low = min(least, 0.95)

    def x(point: int) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * math.log(point) / math.log(points[-1]), 1)

    def y(share: float) -> float:
        return round(_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (share - low) / (1 - low), 1)

    def label(at: float, height: float, text: str, anchor: str = "middle", color: str = "#444") -> str:
        return f'<text x="{at}" y="{height}" text-anchor="{anchor}" fill="{color}">{text}</text>'

    right, bottom = _WIDTH - _MARGIN, _HEIGHT - _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<path d="M{_MARGIN} {_MARGIN}V{bottom}H{right}" fill="none" stroke="#444"/>',
        f'<path d="M{_MARGIN} {y(0.95)}H{right}" stroke="#bbb" stroke-dasharray="4"/>',
        label(_WIDTH / 2, _HEIGHT - 10, "trials"),
    ]
    lines += [label(x(point), bottom + 16, str(point)) for point in points if point in _SHOWN]
    lines += [label(_MARGIN - 4, y(share) + 4, f"{share:.0%}", "end") for share in sorted({low, 0.95, 1.0})]
    for place, (name, curve) in enumerate(shares.items()):
        path = " ".join(f"{x(point)},{y(share)}" for point, share in zip(points, curve, strict=True))
        color = _COLORS[name]
        lines.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        lines.append(label(right, bottom - 44 + 16 * place, _NAMES[name], "end", color))
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main())
