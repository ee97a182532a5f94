"""The artifact keeps its promises: no runtime, no globals, re-entrant, reproducible, within budget."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, CompileResult, compile_model, network_name
from edgecompile.core.artifact import open_artifact
from edgecompile.core.target import find_target
from edgecompile.errors import BudgetError, InputError, UsageError
from edgecompile.execute import CompiledNetwork, load_golden
from tests.support.elf import undefined_symbols, writable_bytes
from tests.support.networks import save, small_cnn, stateful_lstm

# What C compilers assume to be there, and the functions of libm.
_MEMORY = {"memcpy", "memset", "memmove"}
_LIBM = {"expf", "tanhf", "logf", "erff", "powf", "sqrtf", "sinf", "cosf", "floorf", "roundf", "exp", "tanh"}


def _compile(model: Path, target: str, output: Path, **options: object) -> CompileResult:
    return compile_model(str(model), CompileOptions(find_target(target), **options), output)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(small_cnn(), tmp_path_factory.mktemp("cnn") / "cnn.onnx")


@pytest.fixture(scope="module")
def built(cnn: Path) -> CompileResult:
    return _compile(cnn, "x86-64", cnn.parent / "cnn.edge")


@pytest.mark.parametrize("emit", ["lib", "c"])
@pytest.mark.parametrize("target", ["host", "x86-64", "cortex-a72", "cortex-m4"])
def test_every_route_computes_the_reference(cnn: Path, tmp_path: Path, target: str, emit: str) -> None:
    artifact = _compile(cnn, target, tmp_path / "out.edge", emit=emit).artifact
    inputs, expected = load_golden(artifact)
    results = CompiledNetwork(artifact)(*inputs)
    np.testing.assert_allclose(results, expected[0][:, 0], rtol=1e-4, atol=1e-6)


def test_state_goes_in_and_out(tmp_path: Path) -> None:
    model = save(stateful_lstm(), tmp_path / "lstm.onnx")
    artifact = _compile(model, "host", tmp_path / "lstm.edge").artifact
    inputs, expected = load_golden(artifact)
    network = CompiledNetwork(artifact)
    outputs = network.outputs(network.run(inputs), len(inputs[0]))
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", ["x86-64", "cortex-a72", "cortex-m4"])
def test_library_needs_only_memory_functions_and_libm(cnn: Path, tmp_path: Path, target: str) -> None:
    artifact = _compile(cnn, target, tmp_path / "out.edge").artifact
    subprocess.run(["ar", "x", str(artifact.library)], cwd=tmp_path, check=True)
    objects = sorted(tmp_path.glob("*.o"))
    assert len(objects) == 3
    needed = set().union(*(undefined_symbols(path) for path in objects))
    foreign = {name for name in needed if not name.startswith(artifact.manifest.name)}
    assert foreign <= _MEMORY | _LIBM, foreign - _MEMORY - _LIBM
    assert sum(writable_bytes(path) for path in objects) == 0


def test_same_input_same_bytes_anywhere(cnn: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from edgecompile.compiler import *; "
        "from edgecompile.core.target import find_target; "
        "compile_model(sys.argv[1], CompileOptions(find_target('cortex-m4')), Path(sys.argv[2]))"
    )
    folders = []
    for seed, place in (("1", tmp_path / "a"), ("77", tmp_path / "somewhere" / "else")):
        folders.append(place / "cnn.edge")
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", script, str(cnn), str(folders[-1])], env=environment, check=True
        )
    contents = [
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    ]
    assert contents[0].keys() == contents[1].keys()
    assert [name for name in contents[0] if contents[0][name] != contents[1][name]] == []


def _program(built: CompileResult, source: str, folder: Path, *flags: str) -> Path:
    """A program of ours that links the compiled library."""
    artifact = built.artifact
    (folder / "main.c").write_text(source)
    inputs, _ = load_golden(artifact)
    (folder / "input.bin").write_bytes(inputs[0].tobytes())
    command = ["gcc", "-O1", "-g", "-Wall", "-Werror", "-I", str(artifact.header.parent), *flags]
    command += [str(folder / "main.c"), str(artifact.library), "-lm", "-o", str(folder / "main")]
    subprocess.run(command, check=True)
    return folder / "main"


_THREADS = """
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "cnn.h"
static float input[3][3 * 12 * 12], output[2][3][10];
static unsigned char arena[2][CNN_ARENA_BYTES] __attribute__((aligned(CNN_ARENA_ALIGN)));
static void* work(void* argument) {
  const long self = (long)argument;
  for (int round = 0; round < 2000; ++round)
    for (int i = 0; i < 3; ++i)
      if (cnn_infer(input[i], output[self][i], arena[self]) != CNN_OK) return argument;
  return NULL;
}
int main(void) {
  FILE* file = fopen("input.bin", "rb");
  if (!file || fread(input, 1, sizeof input, file) != sizeof input) return 2;
  pthread_t threads[2];
  void* failed[2];
  for (long i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, work, (void*)i);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], &failed[i]);
  fwrite(output, 1, sizeof output, stdout);
  return failed[0] || failed[1];
}
"""


def test_two_threads_with_two_arenas(built: CompileResult, tmp_path: Path) -> None:
    program = _program(built, _THREADS, tmp_path, "-pthread")
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, check=True)
    results = np.frombuffer(done.stdout, np.float32).reshape(2, 3, 10)
    expected = load_golden(built.artifact)[1][0][:, 0]
    np.testing.assert_allclose(results, np.stack([expected, expected]), rtol=1e-4, atol=1e-6)


_HEAP = """
#include <stdio.h>
#include <stdlib.h>
#include "cnn.h"
int main(void) {
  float* input = malloc(3 * 3 * 12 * 12 * sizeof(float));
  float* output = malloc(10 * sizeof(float));
  void* arena = aligned_alloc(CNN_ARENA_ALIGN, CNN_ARENA_BYTES);
  FILE* file = fopen("input.bin", "rb");
  if (!file || fread(input, sizeof(float), 3 * 3 * 12 * 12, file) == 0) return 2;
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    if (cnn_infer(input + i * 3 * 12 * 12, output, arena) != CNN_OK) return 3;
    for (int k = 0; k < 10; ++k) sum += output[k];
  }
  return sum > 2.9f && sum < 3.1f ? 0 : 4; /* three softmaxes; the branch shows undefined values */
}
"""


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind not found (apt install valgrind)")
def test_valgrind_sees_no_invalid_access(built: CompileResult, tmp_path: Path) -> None:
    program = _program(built, _HEAP, tmp_path)
    command = ["valgrind", "--error-exitcode=99", "--quiet", str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_ERRORS = """
#include <stddef.h>
#include "cnn.h"
static float input[3 * 12 * 12], output[10];
static unsigned char arena[CNN_ARENA_BYTES + CNN_ARENA_ALIGN] __attribute__((aligned(CNN_ARENA_ALIGN)));
int main(void) {
  const void* in[] = {input};
  void* out[] = {output};
  if (cnn_run(in, out, arena, CNN_ARENA_BYTES - 1) != CNN_ERROR_ARENA_SIZE) return 1;
  if (cnn_run(in, out, arena + 1, CNN_ARENA_BYTES) != CNN_ERROR_ARENA_ALIGN) return 2;
  if (cnn_run(NULL, out, arena, CNN_ARENA_BYTES) != CNN_ERROR_NULL) return 3;
  if (cnn_run(in, out, NULL, CNN_ARENA_BYTES) != CNN_ERROR_NULL) return 5;
  if (cnn_input_info(0)->bytes != sizeof input || cnn_input_info(1) != NULL) return 4;
  return cnn_run_with(cnn_weights, in, out, arena, CNN_ARENA_BYTES);
}
"""


def test_wrong_calls_are_refused_with_a_code(built: CompileResult, tmp_path: Path) -> None:
    program = _program(built, _ERRORS, tmp_path)
    assert subprocess.run([program], check=False).returncode == 0


def test_arena_is_close_to_its_lower_bound(built: CompileResult) -> None:
    memory = built.artifact.manifest.memory
    assert memory.arena <= 1.05 * memory.arena_lower_bound


def test_too_large_for_the_target_is_refused_and_nothing_is_left(cnn: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        _compile(cnn, "cortex-m4", tmp_path / "out.edge", max_flash=1000, max_ram=100)
    assert [problem.code for problem in caught.value.problems] == ["EC6001", "EC6002"]
    assert "--no-budget" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    _compile(cnn, "cortex-m4", tmp_path / "out.edge", max_flash=1000, max_ram=100, check_budget=False)


def test_a_folder_that_is_no_artifact_is_not_replaced(cnn: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    with pytest.raises(InputError, match="EC3031"):
        _compile(cnn, "host", tmp_path / "precious")
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_a_changed_file_is_found_when_the_artifact_is_opened(cnn: Path, tmp_path: Path) -> None:
    artifact = _compile(cnn, "host", tmp_path / "out.edge").artifact
    assert open_artifact(artifact.path).manifest == artifact.manifest
    artifact.header.write_text("changed")
    with pytest.raises(InputError, match=r"cnn\.h is missing or was changed"):
        open_artifact(artifact.path)


def test_golden_inputs_of_the_user(cnn: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "golden.npz", x=np.ones((2, 1, 3, 12, 12), np.float32))
    artifact = _compile(cnn, "host", tmp_path / "out.edge", golden=tmp_path / "golden.npz").artifact
    inputs, _ = load_golden(artifact)
    assert inputs[0].shape == (2, 1, 3, 12, 12)
    np.savez(tmp_path / "golden.npz", x=np.ones((2, 3, 12, 11), np.float32))
    with pytest.raises(InputError, match=r"'x' takes \(1, 3, 12, 12\), the data are \(2, 3, 12, 11\)"):
        _compile(cnn, "host", tmp_path / "other.edge", golden=tmp_path / "golden.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "double"}, r"EC2372.*'--rounding'.*no operator computes in integers.*--quantize int8"),
        ({"fallback": "cpu"}, r"EC2035.*'--fallback'.*no accelerator beside its CPU.*leave --fallback out"),
    ],
)
def test_an_option_without_effect_is_refused(
    cnn: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _compile(cnn, "host", tmp_path / "out.edge", **options)
    assert not (tmp_path / "out.edge").exists()


def test_the_manifest_names_layers_and_values(built: CompileResult) -> None:
    steps = built.artifact.manifest.steps
    layers = [layer for step in steps for layer in step.layers]
    assert any("depthwise" in layer for layer in layers)
    assert steps[-1].outputs[0].name == "prob"
    assert dataclasses.asdict(built.artifact.manifest.memory)["arena"] > 0


@pytest.mark.parametrize(("text", "name"), [("a/My Net.onnx", "my_net"), ("pkg.mod:Build", "build")])
def test_network_name(text: str, name: str) -> None:
    assert network_name(text) == name
