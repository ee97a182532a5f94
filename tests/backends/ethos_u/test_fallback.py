"""Networks of which the NPU computes a part and the CPU beside it the rest: the library itself, executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.ethos_u.backend import configuration
from edgecompile.backends.ethos_u.constraints import TABLE
from edgecompile.backends.ethos_u.execute import EMULATOR, run_ethos_u
from edgecompile.core.model import Model
from edgecompile.core.target import EthosU
from edgecompile.errors import InternalError, Problem, UnsupportedError, UsageError
from tests.support import split_networks
from tests.support.ethos_u import needs_vela
from tests.support.ethos_u_artifacts import built, compare, request_for

pytestmark = [
    needs_vela,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None,
        reason="arm-none-eabi-gcc not found (apt install gcc-arm-none-eabi)",
    ),
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None,
        reason="qemu-system-arm not found (apt install qemu-system-arm)",
    ),
]
SAMPLES = 10
REQUEST = request_for("ethos-u55-128", fallback="cpu")


@pytest.mark.parametrize(
    ("make", "layers", "switches", "border_bytes"),
    [
        (split_networks.cpu_in_the_middle, ["Gelu"], 2, 2 * 648),
        (split_networks.cpu_beside, ["Gelu", "Erf"], 4, 4 * 648),
        (
            split_networks.real_numbers_in_the_middle,
            ["DequantizeLinear", "Abs", "ReduceMax", "Div", "QuantizeLinear"],
            2,
            2 * 648,
        ),
        (split_networks.cpu_at_the_end, ["DequantizeLinear", "LpNormalization"], 1, 16),
    ],
)
def test_the_parts_compute_the_integers_of_the_whole(
    make: Callable[[], Model], layers: list[str], switches: int, border_bytes: int, tmp_path: Path
) -> None:
    artifact, model, figures = built(make(), tmp_path / "net.edge", REQUEST)
    report = figures["fallback"]
    assert [entry["operator"] for entry in report["nodes"]] == layers
    assert (report["switches"], report["border_bytes"]) == (switches, border_bytes)
    assert 0 < report["npu_macs"] == report["macs"]
    assert figures["estimates"]["cpu_operators"] == 0
    assert compare(artifact, model, SAMPLES) == f"qemu and {EMULATOR}"


def test_an_artifact_in_parts_cannot_be_executed_without_the_cpu(tmp_path: Path) -> None:
    artifact, model, _ = built(split_networks.cpu_in_the_middle(), tmp_path / "net.edge", REQUEST)
    inputs = [np.zeros((1, *info.shape), info.dtype) for info in model.inputs]
    with pytest.raises(UsageError, match=r"EC2542.*use qemu"):
        run_ethos_u(artifact, EMULATOR, inputs)


def test_one_arena_holds_the_tensors_of_cpu_and_npu(tmp_path: Path) -> None:
    artifact, _, figures = built(split_networks.cpu_beside(), tmp_path / "net.edge", REQUEST)
    layouts = [json.loads((artifact.path / "npu" / str(i) / "layout.json").read_text()) for i in range(3)]
    scratch = [layout["scratch_bytes"] for layout in layouts]
    memory = artifact.manifest.memory
    assert max(scratch) < memory.arena == memory.arena_lower_bound < sum(scratch) + 3 * 648
    workspaces = {f"workspace of step {2 * i}" for i in range(3) if scratch[i]}
    assert workspaces < {entry["buffer"] for entry in figures["arena_map"]}


def test_a_layer_that_vela_rejects_is_left_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without our own rule about it."""
    lax = replace(TABLE, operators=dict(TABLE.operators) | {"Gather": ()})
    monkeypatch.setattr("edgecompile.backends.ethos_u.partition.TABLE", lax)
    artifact, model, figures = built(split_networks.rows_in_another_order(), tmp_path / "net.edge", REQUEST)
    (entry,) = figures["fallback"]["nodes"]
    assert (entry["operator"], entry["reasons"]) == ("Gather", ["Unsupported opType"])
    assert compare(artifact, model, SAMPLES) == f"qemu and {EMULATOR}"


def test_a_network_without_anything_for_the_npu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"EC4544\].*compile for the CPU: --target cortex-m55"):
        built(split_networks.nothing_for_the_npu(), tmp_path / "net.edge", REQUEST)


def test_without_fallback_it_is_offered(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"EC4542\].*Gelu6.*or split the network: --fallback cpu"):
        built(split_networks.cpu_in_the_middle(), tmp_path / "net.edge", replace(REQUEST, fallback="none"))


@pytest.mark.parametrize("emit", ["lib", "tflite"])
def test_inputs_and_outputs_keep_their_order(emit: str, tmp_path: Path) -> None:
    request = request_for("ethos-u55-128", emit=emit)
    artifact, model, _ = built(split_networks.second_input_first(), tmp_path / "net.edge", request)
    assert compare(artifact, model, SAMPLES, EMULATOR) == EMULATOR


@pytest.mark.parametrize("make", [split_networks.every_other_channel, split_networks.chosen_channels])
def test_channels_are_taken_by_the_npu(make: Callable[[], Model], tmp_path: Path) -> None:
    request = request_for("ethos-u55-128")
    artifact, model, _ = built(make(), tmp_path / "net.edge", request)
    assert [node.op_type for node in model.graph.graph].count("ConvNhwc") == 2
    compare(artifact, model, SAMPLES, EMULATOR)


def test_an_ethos_u65_has_a_cortex_a_beside_it(tmp_path: Path) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 not found (apt install qemu-user)")
    request = request_for("ethos-u65-512", emit="c", fallback="cpu")
    artifact, model, _ = built(split_networks.cpu_in_the_middle(), tmp_path / "net.edge", request)
    assert compare(artifact, model, SAMPLES) == f"qemu and {EMULATOR}"
    assert (artifact.path / "src" / "net_npu1.c").is_file()
    assert configuration(artifact.target).cores == 2


def test_the_node_that_crashes_vela_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the second convolution does, whose weights have a name in the file."""

    def crashes(data: bytes, npu: EthosU, form: str, name: str, separate: bool = False) -> None:
        if b"Conv7/weights" in data:
            raise InternalError(Problem("EC1540", "Vela crashed", name, f"{len(data)} bytes"))
        raise UnsupportedError(Problem("EC4541", "no", name))

    monkeypatch.setattr("edgecompile.backends.ethos_u.backend.compile_network", crashes)
    with pytest.raises(InternalError, match=r"EC1540\] Vela crashed at 'Conv7'"):
        built(split_networks.two_convolutions(), tmp_path / "net.edge", REQUEST)
