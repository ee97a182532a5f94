"""The instruction counter: exact on a known number of instructions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecompile.core.process import run_program
from edgecompile.devices.icount import COUNTS, MARK, Counts, build_plugin, plugin_arguments, read_counts
from edgecompile.errors import DeviceError
from edgecompile.toolchain.find import find_toolchain
from tests.fakes.build import target_or_skip

PROGRAM = """
__attribute__((noinline)) void edgecompile_mark(void) { __asm__ volatile("" ::: "memory"); }
int main(void) {
  edgecompile_mark();
  __asm__ volatile(".rept %d\\n nop\\n .endr");
  edgecompile_mark();
  edgecompile_mark();
  for (int i = 0; i < 1000; ++i) __asm__ volatile("nop\\n nop");
  edgecompile_mark();
  return 0;
}
"""


def segments(folder: Path, name: str, nops: int) -> list[int]:
    target = target_or_skip(name)
    assert target.emulator is not None
    (folder / "nops.c").write_text(PROGRAM % nops)
    toolchain = find_toolchain(target)
    code = toolchain.compile([folder / "nops.c"], ("-O1",), folder / "nops.o")
    program = toolchain.link([code], (), folder / "nops")
    emulator = target.emulator.program
    run_program(
        [emulator, "-cpu", target.emulator.cpu, *plugin_arguments(emulator), str(program)], cwd=folder
    )
    counted: list[int] = json.loads((folder / COUNTS).read_text())["segments"]
    return counted


@pytest.mark.parametrize("name", ["x86-64", "cortex-a72", "cortex-a7"])
def test_counts_are_exact(name: str, tmp_path: Path) -> None:
    few, loop = segments(tmp_path, name, 10)
    many, again = segments(tmp_path, name, 1510)
    assert many - few == 1500
    assert loop == again
    # Two instructions and at most three to count the loop, each time, and some around it.
    assert 3000 <= loop <= 5020


def test_plugin_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGECOMPILE_CACHE", str(tmp_path))
    library = build_plugin(1)
    built = library.stat().st_mtime_ns
    assert build_plugin(1) == library
    assert library.stat().st_mtime_ns == built
    assert build_plugin(2) != library
    assert sorted(tmp_path.glob("icount-*")) == sorted([library, build_plugin(2)])


def write_counts(folder: Path, *counted: int) -> None:
    (folder / COUNTS).write_text(json.dumps({"segments": counted}))


def test_an_inference_is_the_mean_of_the_runs(tmp_path: Path) -> None:
    write_counts(tmp_path, 100, 102, 104)
    assert read_counts(tmp_path, 3, traced=False) == Counts(102, (100, 102, 104), ())


def test_the_traced_run_is_split_into_steps(tmp_path: Path) -> None:
    write_counts(tmp_path, 100, 60, 39, 3)
    assert read_counts(tmp_path, 2, traced=True) == Counts(100, (100,), (60, 39))
    write_counts(tmp_path, 60, 39, 3)
    assert read_counts(tmp_path, 1, traced=True) == Counts(102, (), (60, 39))


def test_counts_that_do_not_fit_the_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7006.*instructions were not counted"):
        read_counts(tmp_path, 1, traced=False)
    write_counts(tmp_path, 100, 100)
    with pytest.raises(DeviceError, match=r"EC7006.*2 segments for 3 runs"):
        read_counts(tmp_path, 3, traced=False)
    write_counts(tmp_path)
    with pytest.raises(DeviceError, match=r"EC7006.*0 segments for 1 runs"):
        read_counts(tmp_path, 1, traced=True)


def test_the_runner_defines_the_function_that_marks() -> None:
    runner = Path(find_toolchain.__code__.co_filename).parent / "runner" / "runner.c"
    assert f"void {MARK}(void)" in runner.read_text()
