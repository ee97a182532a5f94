"""Line charts as SVG text, for reports and documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 420, 70, 190, 40, 50
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")
_DASHES = ("", "6 3", "2 2", "8 3 2 3")
# The legend has room for so many names.
_NAMED = 20


@dataclass(frozen=True)
class Line:
    """`points` (x, y) in the order in which they are joined, under one name; figures must be finite."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """The lines in one picture with axes, grid and legend; the same lines give the same text."""
    xs = [x for line in lines for x, _ in line.points] or [0.0]
    ys = [y for line in lines for _, y in line.points] or [0.0]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    across = _Scale(x_ticks, _LEFT, _WIDTH - _RIGHT)
    down = _Scale(y_ticks, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 22, title, "start", ' font-size="15"'),
    ]
    for x in x_ticks:
        parts.append(_grid(across(x), _TOP, across(x), _HEIGHT - _BOTTOM))
        parts.append(_text(across(x), _HEIGHT - _BOTTOM + 18, f"{x:g}", "middle"))
    for y in y_ticks:
        parts.append(_grid(_LEFT, down(y), _WIDTH - _RIGHT, down(y)))
        parts.append(_text(_LEFT - 8, down(y) + 4, f"{y:g}", "end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x_label, "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text(18, middle, y_label, "middle", f' transform="rotate(-90 18 {middle:g})"'))
    for index, line in enumerate(lines):
        points = [(f"{across(x):.1f}", f"{down(y):.1f}") for x, y in line.points]
        joined = " ".join(map(",".join, points))
        parts.append(f'<polyline points="{joined}" fill="none" stroke-width="1.8"{_stroke(index)}/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{_color(index)}"/>' for x, y in points]
        if index < _NAMED:
            parts += _legend(index, line.name)
    return "\n".join([*parts, "</svg>"]) + "\n"


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from at most `low` to at least `high`, evenly spaced."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= about)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


class _Scale:
    """From figures to places in the picture."""

    def __init__(self, marks: Sequence[float], start: float, end: float) -> None:
        self._low, self._start = marks[0], start
        self._factor = (end - start) / (marks[-1] - marks[0])

    def __call__(self, figure: float) -> float:
        return self._start + (figure - self._low) * self._factor


def _color(index: int) -> str:
    return _COLORS[index % len(_COLORS)]


def _stroke(index: int) -> str:
    dash = _DASHES[index // len(_COLORS) % len(_DASHES)]
    return f' stroke="{_color(index)}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _legend(index: int, name: str) -> list[str]:
    x, y = _WIDTH - _RIGHT + 12, _TOP + 10 + 17 * index
    short = name if len(name) <= 24 else "…" + name[-23:]
    mark = f'<line x1="{x}" y1="{y}" x2="{x + 18}" y2="{y}" stroke-width="1.8"{_stroke(index)}/>'
    return [mark, _text(x + 24, y + 4, short, "start", ' font-size="10"')]


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
