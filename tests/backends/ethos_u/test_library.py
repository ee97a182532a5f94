"""The C library hands the driver exactly the right memory: a mock of the driver looks at it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.ethos_u.library import replace_by_call, source_of
from edgecompile.backends.ethos_u.partition import segments_of
from edgecompile.backends.ethos_u.vela import Border, Stream
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.lower.build import build_network
from tests.support.graphs import model

# A driver that notes what it is given, and copies the first input to the first output.
_MOCK = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
struct ethosu_driver { int reserved; };
static struct ethosu_driver driver;
uint64_t seen[8]; size_t sizes[8]; int count, commands_size, fails, missing; const void* commands;
unsigned char scratch_seen[64];
struct ethosu_driver* ethosu_reserve_driver(void) { driver.reserved = 1; return missing ? NULL : &driver; }
void ethosu_release_driver(struct ethosu_driver* d) { d->reserved = 0; }
int reserved(void) { return driver.reserved; }
int ethosu_invoke_v3(struct ethosu_driver* d, const void* data, const int size, uint64_t* const base,
                     const size_t* base_bytes, const int n, void* user) {
  (void)user;
  commands = data; commands_size = size; count = n;
  for (int i = 0; i < n; ++i) { seen[i] = base[i]; sizes[i] = base_bytes[i]; }
  if (base[1]) memcpy(scratch_seen, (void*)(uintptr_t)base[1], sizes[1] < 64 ? sizes[1] : 64);
  if (base[1]) for (size_t i = 0; i < sizes[1]; ++i) ((unsigned char*)(uintptr_t)base[1])[i] ^= 1;
  return d->reserved ? fails : -1;
}
"""
Array = np.ndarray[Any, Any]


def network(signature: str) -> Model:
    inputs, outputs = signature.split(" => ")
    results = [part.split()[-1] for part in outputs.split(", ")]
    operands = ", ".join(part.split()[-1] for part in inputs.split(", "))
    body = " ".join(f"{name} = Max ({operands})" for name in results)
    return model(f"g ({inputs}) => ({outputs}) {{ {body} }}", typed=True)


def linked(stream: Stream, signature: str, folder: Path) -> ctypes.CDLL:
    """The library with the mock in it, for this machine."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc not found (apt install gcc)")
    graph = network(signature)
    (segment,) = segments_of(graph, {})
    (folder / "net_npu.c").write_text(source_of(stream, segment, "net_npu"))
    replace_by_call(graph, segment, stream, "net_npu")
    built = build_network(graph, "net", find_target("ethos-u55-128"), "c", folder)
    (folder / "net.h").write_text(built.entry.header)
    (folder / "net.c").write_text(built.entry.source)
    (folder / "mock.c").write_text(_MOCK)
    numbers = ", ".join(map(str, built.storage.weights))
    weights = f"_Alignas(16) const unsigned char net_weights[] = {{{numbers}}};\n"
    (folder / "weights.c").write_text(weights)
    sources = [str(folder / name) for name in ("net.c", "net_npu.c", "mock.c", "weights.c")]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    subprocess.run([compiler, *flags, *sources, "-o", str(folder / "net.so")], check=True)
    return ctypes.CDLL(str(folder / "net.so"))


def aligned(size: int) -> Array:
    """Bytes at a multiple of 16."""
    raw = np.zeros(size + 16, np.uint8)
    start = -raw.ctypes.data % 16
    return raw[start : start + size]


def run(library: ctypes.CDLL, inputs: Sequence[Array], outputs: Sequence[Array], arena: Array) -> int:
    pointers = [(ctypes.c_void_p * len(part))(*(a.ctypes.data for a in part)) for part in (inputs, outputs)]
    return int(library.net_run(*pointers, ctypes.c_void_p(arena.ctypes.data), ctypes.c_size_t(arena.size)))


def seen(library: ctypes.CDLL) -> list[tuple[int, int]]:
    """Base address and size of every region that the driver was given."""
    count = ctypes.c_int.in_dll(library, "count").value
    addresses = (ctypes.c_uint64 * 8).in_dll(library, "seen")
    sizes = (ctypes.c_size_t * 8).in_dll(library, "sizes")
    return [(int(addresses[i]), int(sizes[i])) for i in range(count)]


DIRECT = Stream(
    b"COP1" + bytes(range(28)),
    bytes(range(100, 148)),
    32,
    0,
    (0, 1, 0),
    (Border(3, 0, 6),),
    (Border(4, 0, 6),),
)


def test_the_driver_sees_the_callers_buffers(tmp_path: Path) -> None:
    library = linked(DIRECT, "int8[1,6] x => int8[1,6] y", tmp_path)
    x, y, arena = aligned(6), aligned(6), aligned(32)
    assert run(library, [x], [y], arena) == 0
    (constants, *rest) = seen(library)
    assert ctypes.string_at(constants[0], 48) == DIRECT.constants
    assert constants[1] == 48
    assert constants[0] % 16 == 0
    assert rest == [(arena.ctypes.data, 32), (0, 0), (x.ctypes.data, 6), (y.ctypes.data, 6)]
    commands = ctypes.c_void_p.in_dll(library, "commands").value
    assert commands is not None
    assert commands % 16 == 0
    assert ctypes.string_at(commands, 32) == DIRECT.commands
    assert ctypes.c_int.in_dll(library, "commands_size").value == 32
    assert library.reserved() == 0


def test_several_tensors_are_copied_into_and_out_of_the_arena(tmp_path: Path) -> None:
    stream = Stream(
        b"COP1" + bytes(12), b"", 64, 128, (0, 1, 2),
        (Border(1, 0, 4), Border(1, 16, 4)), (Border(1, 32, 4), Border(1, 48, 4)),
    )  # fmt: skip
    library = linked(stream, "int8[4] x, int8[4] b => int8[4] y, int8[4] z", tmp_path)
    inputs = [np.array([1, 2, 3, 4], np.uint8), np.array([5, 6, 7, 8], np.uint8)]
    outputs, arena = [np.zeros(4, np.uint8), np.zeros(4, np.uint8)], aligned(64)
    arena[32:36], arena[48:52] = 40, 50
    assert run(library, inputs, outputs, arena) == 0
    given = np.array((ctypes.c_ubyte * 64).in_dll(library, "scratch_seen"))
    np.testing.assert_array_equal(given[[0, 1, 2, 3, 16, 17, 18, 19]], np.concatenate(inputs))
    np.testing.assert_array_equal(outputs, [[41] * 4, [51] * 4])
    assert seen(library) == [(0, 0), (arena.ctypes.data, 64), (0, 128)]


def test_failures_of_the_driver_are_reported(tmp_path: Path) -> None:
    library = linked(DIRECT, "int8[1,6] x => int8[1,6] y", tmp_path)
    buffers = [aligned(6)], [aligned(6)], aligned(32)
    ctypes.c_int.in_dll(library, "fails").value = -1
    assert run(library, *buffers) == -6
    assert library.reserved() == 0
    ctypes.c_int.in_dll(library, "missing").value = 1
    assert run(library, *buffers) == -5
    assert run(library, buffers[0], buffers[1], aligned(31)) == -1
