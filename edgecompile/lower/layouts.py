"""Operators that exist on channels-first data (ONNX) and on channels-last data (domain edgecompile)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecompile.kernels.compute import Layout
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

LayoutBuilder = Callable[[NodeView, Layout], Tensor | Sequence[Tensor]]


def both_layouts(
    name: str, kind: Kind, static: tuple[int, ...] = ()
) -> Callable[[LayoutBuilder], LayoutBuilder]:
    """Register a builder as ONNX's `name` and, for channels-last data, as edgecompile's `name`Nhwc."""

    def register(build: LayoutBuilder) -> LayoutBuilder:
        first, last = Layout(channels_last=False), Layout(channels_last=True)
        op(name, kind=kind, static=static)(lambda n: build(n, first))
        op(f"{name}Nhwc", kind=kind, static=static, domain="edgecompile")(lambda n: build(n, last))
        return build

    return register
