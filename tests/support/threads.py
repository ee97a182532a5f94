"""Networks compiled for several threads, and a program that runs one on the executor it brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import find_target
from edgecompile.lower import build
from edgecompile.lower.build import BuiltNetwork

# Runs the network serially, then again and again on 1, 2, ... threads; some runs find the workers asleep.
PROGRAM = r"""
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "net_threads.h"

enum { INPUT = %d, OUTPUT = %d, ROUNDS = 40 };
static _Alignas(64) unsigned char input[INPUT], expected[OUTPUT], output[OUTPUT];
static _Alignas(64) unsigned char arena[NET_ARENA_BYTES];

static int run(const net_executor* executor, unsigned char* result) {
  const void* const inputs[] = {input};
  void* const outputs[] = {result};
  memset(arena, 0xA5, sizeof arena);
  memset(result, 0xA5, OUTPUT);
  return executor ? net_run_parallel(inputs, outputs, arena, sizeof arena, executor)
                  : net_run(inputs, outputs, arena, sizeof arena);
}

static int rounds(int threads) {
  const net_executor* const executor = net_threads_create(threads);
  if (!executor) return 1;
  for (int i = 0; i < ROUNDS; ++i) {
    const struct timespec pause = {0, 300000};
    if (i %% 8 == 7) nanosleep(&pause, NULL);
    if (run(executor, output) != NET_OK || memcmp(output, expected, OUTPUT) != 0) return 2;
  }
  net_threads_destroy(executor);
  return 0;
}

int main(void) {
  float value = -1.0f;
  for (size_t i = 0; i + 4 <= INPUT; i += 4, value += 0.01f) memcpy(input + i, &value, 4);
  if (run(NULL, expected) != NET_OK) return 3;
  for (int threads = 1; threads <= NET_MAX_THREADS; ++threads) {
    const int failed = rounds(threads);
    if (failed) return failed;
  }
  puts("same");
  return 0;
}
"""


def build_shared(
    proto: onnx.ModelProto, folder: Path, threads: int, monkeypatch: pytest.MonkeyPatch, emit: str = "lib"
) -> tuple[BuiltNetwork, Model]:
    """`proto` compiled for this machine, every step that can be shared out in parts, however small it is."""
    monkeypatch.setattr(build, "_SHARED_WORK", 0)
    target = find_target("host")
    model, _ = optimize(Model(ir.from_proto(proto), Provenance("test", "", 21)), target)
    return build.build_network(model, "net", target, emit, folder, threads), model


def program_files(built: BuiltNetwork, model: Model, folder: Path) -> list[Path]:
    """Writes PROGRAM and the network's C files for it; kernels have to be C."""
    assert built.kernels is not None
    entry = built.entry
    texts: dict[str, Any] = {"net.h": entry.header, "net.c": entry.source}
    texts |= {"net_threads.h": entry.threads_header, "net_threads.c": entry.threads_source}
    texts["main.c"] = PROGRAM % (model.inputs[0].nbytes, model.outputs[0].nbytes)
    weights = ", ".join(map(str, built.storage.weights)) or "0"
    texts["weights.c"] = (
        f'#include "net.h"\n_Alignas(64) const unsigned char net_weights[] = {{{weights}}};\n'
    )
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [*(folder / name for name in sorted(texts) if name.endswith(".c")), built.kernels]
