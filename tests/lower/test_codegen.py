from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.lower.codegen import resolve_native


def test_the_native_cpu_is_described_as_linux_describes_it() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the host target is for x86-64")
    isa = resolve_native(find_target("host").isa)
    flags = set(Path("/proc/cpuinfo").read_text().split("flags")[1].split("\n")[0].split())
    assert isa.cpu != "native"
    assert isa.vector_bits in (128, 256, 512)
    assert isa.registers == (32 if isa.vector_bits == 512 else 16)
    assert isa.int8 in ("vnni", "pmaddwd")
    if isa.int8 == "vnni":
        assert flags & {"avx512_vnni", "avx_vnni"}
    assert 8 * 1024 <= isa.l1_bytes <= isa.l2_bytes


def test_any_other_cpu_stays_as_its_target_file_says() -> None:
    isa = find_target("cortex-a72").isa
    assert resolve_native(isa) is isa
