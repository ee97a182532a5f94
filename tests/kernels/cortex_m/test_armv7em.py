"""The DSP kernels give the integers of the reference: as plain C with sanitizers, and emulated."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.integer import Multiplier, Rounding
from edgecompile.kernels.cortex_m import armv7em
from edgecompile.kernels.cortex_m.parameters import Factors, Output
from edgecompile.toolchain.build import _layout
from edgecompile.toolchain.find import _zig, find_toolchain
from tests.fakes.build import target_or_skip
from tests.kernels.cortex_m.cases import (
    KERNELS,
    Case,
    Factory,
    driver,
    firmware,
    geometry_of,
    run_in_qemu,
    run_native,
)

_SOURCES = "armv7em*.c"

# Up to .25 all channels requantize by a shift to the right; beyond, some must be shifted to the left.
factors = st.sampled_from([1e-5, 0.002, 0.02, 0.11, 0.3, 0.9, 5.0, 1000.0])
roundings: st.SearchStrategy[Rounding] = st.sampled_from(["single", "double", "float"])


@st.composite
def factories(draw: st.DrawFn) -> Factory:
    lo, hi = draw(st.sampled_from([(-128, 127), (-128, 127), (-3, 127), (-128, 60), (-100, 99)]))
    return Factory(
        draw(st.integers(0, 2**32)),
        rounding=draw(roundings),
        factor=draw(factors),
        y_zero=draw(st.sampled_from([-128, -3, 0, 127])),
        lo=lo,
        hi=hi,
        extreme=draw(st.booleans()),
    )


@st.composite
def windows(draw: st.DrawFn, depthwise: bool) -> Any:
    """Geometries of every kind: tails of channels, products and pixels, any window, padding on any side."""
    number = st.integers
    kernel, dilations = (draw(st.tuples(number(1, high), number(1, high))) for high in (5, 2))
    strides = draw(st.tuples(number(1, 3), number(1, 3)))
    pads = draw(st.tuples(*(number(0, k) for k in (*kernel, *kernel))))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    extents = [draw(number(max(1, span - before - after), 12)) for span, before, after in _axes(spans, pads)]
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 17]))
    groups = channels if depthwise else draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0]))
    outputs = groups * draw(number(1, 3 if depthwise else 5))
    shape = (draw(number(1, 2)), extents[0], extents[1], channels)
    zero = draw(st.sampled_from([-128, -5, 0, 127]))
    options = {"strides": strides, "dilations": dilations, "groups": groups, "x_zero": zero}
    return geometry_of(shape, outputs, kernel, pads, **options)


def _axes(spans: list[int], pads: tuple[int, ...]) -> list[tuple[int, int, int]]:
    return [(spans[axis], pads[axis], pads[axis + 2]) for axis in (0, 1)]


def _shifted(case: Case, misaligned: int) -> Case:
    return dataclasses.replace(case, misaligned=misaligned)


@settings(max_examples=120, deadline=None)
@given(factories(), st.lists(windows(depthwise=False), min_size=4, max_size=4), st.integers(0, 3))
def test_convolution(factory: Factory, geometries: list[Any], misaligned: int) -> None:
    run_native([_shifted(factory.conv(geometry, str(geometry)), misaligned) for geometry in geometries])


@settings(max_examples=120, deadline=None)
@given(factories(), st.lists(windows(depthwise=True), min_size=4, max_size=4), st.integers(0, 3))
def test_depthwise_convolution(factory: Factory, geometries: list[Any], misaligned: int) -> None:
    run_native([_shifted(factory.conv(geometry, str(geometry)), misaligned) for geometry in geometries])


@settings(max_examples=60, deadline=None)
@given(factories(), st.integers(1, 4), st.integers(1, 70), st.integers(1, 19))
def test_matrix_product(factory: Factory, rows: int, depth: int, columns: int) -> None:
    run_native([factory.gemm(rows, depth, columns)])


@settings(max_examples=60, deadline=None)
@given(factories(), st.integers(1, 70), st.floats(0.01, 3.0), st.floats(0.01, 3.0))
def test_sum(factory: Factory, count: int, scale_a: float, scale_b: float) -> None:
    run_native([factory.add(count, scale_a, scale_b), factory.add(count, scale_a, scale_b, in_place=True)])


def _table(factory: Factory) -> list[Case]:
    """Each inner loop with and without remainders, at borders and inside."""
    windows_ = [
        geometry_of((1, 5, 7, 16), 8, (1, 1)),
        geometry_of((2, 3, 5, 17), 5, (1, 1), x_zero=-128),
        geometry_of((1, 1, 2, 3), 4, (1, 1)),
        geometry_of((1, 7, 9, 33), 6, (1, 1), strides=(2, 2)),
        geometry_of((2, 9, 8, 1), 5, (3, 3), (1, 1, 1, 1), x_zero=-7),
        geometry_of((1, 8, 11, 3), 16, (3, 5), (1, 2, 0, 2), strides=(2, 2), x_zero=9),
        geometry_of((1, 25, 6, 1), 17, (10, 4), (4, 1, 5, 1), strides=(2, 2), x_zero=-3),
        geometry_of((2, 6, 7, 16), 17, (3, 3), (1, 1, 1, 1), x_zero=4),
        geometry_of((1, 9, 9, 8), 6, (3, 3), (2, 2, 2, 2), dilations=(2, 2), x_zero=-9),
        geometry_of((1, 6, 6, 12), 9, (3, 2), (1, 0, 1, 1), groups=3, x_zero=5),
        geometry_of((2, 7, 9, 8), 8, (3, 3), (1, 1, 1, 1), groups=8, x_zero=-5),
        geometry_of((1, 7, 9, 13), 13, (3, 3), (0, 0, 1, 1), strides=(2, 2), groups=13, x_zero=100),
        geometry_of((1, 3, 2, 8), 8, (3, 3), (2, 2, 2, 2), groups=8, x_zero=3),
        geometry_of((1, 9, 8, 6), 12, (5, 4), (2, 1, 2, 2), groups=6, x_zero=3),
        geometry_of((1, 9, 8, 8), 8, (3, 3), (2, 2, 2, 2), dilations=(2, 2), groups=8, x_zero=3),
        geometry_of((1, 12, 11, 4), 4, (7, 5), (3, 2, 3, 2), groups=4),
    ]
    cases = [factory.conv(window, f"{window} {factory}") for window in windows_]
    cases += [factory.gemm(*shape) for shape in ((1, 64, 8), (1, 37, 5), (2, 12, 3), (1, 3, 4))]
    return [*cases, factory.add(37, 0.5, 0.5), factory.add(30, 0.11, 0.05, in_place=True)]


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m7"])
def test_the_assembly_gives_the_same_integers(target: str) -> None:
    settings_ = [
        ("single", 0.002, {}),
        ("double", 0.002, {}),
        ("float", 0.002, {}),
        ("single", 0.9, {"extreme": True}),
        ("double", 0.9, {}),
        ("single", 0.002, {"extreme": True, "y_zero": 127}),
        ("double", 0.002, {"lo": -3, "hi": 50, "extreme": True}),
    ]
    cases = []
    for seed, (rounding, factor, options) in enumerate(settings_):
        factory = Factory(seed, rounding=rounding, factor=factor)  # type: ignore[arg-type]
        cases += _table(dataclasses.replace(factory, **options))  # type: ignore[arg-type]
    cases += [_shifted(case, 1 + i % 3) for i, case in enumerate(cases[:22])]
    run_in_qemu(cases, firmware(_SOURCES, target), target)


@pytest.mark.parametrize("flags", [("-O0",), ("-Os", "-flto")])
def test_other_ways_of_compiling(flags: tuple[str, ...]) -> None:
    cases = [case for rounding in ("single", "double") for case in _table(Factory(3, rounding=rounding))]
    run_in_qemu(cases, firmware(_SOURCES, "cortex-m4", flags), "cortex-m4")


# Instructions for each product, requantization and gathering included: what a layer may take at most.
_LAYERS = [
    (geometry_of((1, 25, 5, 64), 64, (1, 1)), 1.02),
    (geometry_of((1, 12, 12, 64), 128, (1, 1)), 1.0),
    (geometry_of((1, 25, 5, 64), 64, (3, 3), (1, 1, 1, 1), groups=64), 3.3),
    (geometry_of((1, 48, 48, 8), 8, (3, 3), (1, 1, 1, 1), groups=8), 2.9),
    (geometry_of((1, 16, 16, 32), 32, (3, 3), (1, 1, 1, 1)), 0.96),
    (geometry_of((1, 49, 10, 1), 64, (10, 4), (4, 1, 5, 1), strides=(2, 2)), 1.35),
    (geometry_of((1, 96, 96, 3), 8, (3, 3), (0, 0, 1, 1), strides=(2, 2)), 2.6),
]


def test_layers_take_few_instructions() -> None:
    factory = Factory(1)
    cases = [factory.conv(geometry) for geometry, _ in _LAYERS] + [factory.gemm(1, 640, 128)]
    counts = run_in_qemu(cases, firmware(_SOURCES, "cortex-m4"), "cortex-m4")
    each = [count / case.macs for count, case in zip(counts, cases, strict=True)]
    limits = [*(limit for _, limit in _LAYERS), 1.25]
    assert all(cost < limit for cost, limit in zip(each, limits, strict=True)), each


def test_zig_makes_the_same_of_them(tmp_path: Path) -> None:
    """zig cannot link firmware: its objects go into that of the other compiler."""
    target = target_or_skip("cortex-m4")
    zig, other = _zig(target), find_toolchain(target, executable=True)
    assert zig is not None
    flags = ("-O2", "-Wall", "-Wextra", "-Werror")
    objects = [
        zig.compile([source], flags, tmp_path / f"{source.stem}.o")
        for source in sorted(KERNELS.glob(_SOURCES))
    ]
    program = other.link(
        [*objects, driver("cortex-m4")], _layout(target, None, tmp_path), tmp_path / "firmware"
    )
    cases = [case for rounding in ("single", "double") for case in _table(Factory(4, rounding=rounding))]
    run_in_qemu(cases, program, "cortex-m4")


def _packed(multipliers: list[float], weights: int, bias: int, rounding: Rounding = "single") -> Any:
    multiplier = Multiplier.of(multipliers, rounding)
    channels = len(multipliers)
    factors = Factors(np.full(channels, bias, np.int32), multiplier.multiplier, multiplier.shift)
    rows = np.full((channels, 4), weights, np.int8)
    return armv7em.pack_gemm(rows, factors, Output(rounding, 5))


def test_the_fast_form_is_taken_only_where_it_is_exact() -> None:
    assert _packed([0.1, 0.2], 3, 7).fast
    assert not _packed([0.1, 0.3], 3, 7).fast
    assert _packed([0.1, 0.3], 3, 7, "double").fast
    assert not _packed([0.1, 0.7], 3, 7, "double").fast


def test_a_channel_that_cannot_change_is_a_constant() -> None:
    """Multipliers that no fast form has do not matter where all inputs give the same output."""
    packed = _packed([1e-8, 100.0], 0, 1)
    assert packed.fast
    assert packed.parameters[:2].tolist() == [[0, 11, 1, 0], [0, 211, 1, 0]]
