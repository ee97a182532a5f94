"""The verbs on a real network, compiled and executed on this machine."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.cli.main import main
from edgecompile.cli.options import parse_constants
from edgecompile.errors import UsageError
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """small_cnn for this machine."""
    folder = tmp_path_factory.mktemp("verbs")
    network = save(small_cnn(), folder / "cnn.onnx")
    assert main(["compile", str(network), "--target", "host", "-o", str(folder / "cnn.edge")]) == 0
    return folder / "cnn.edge"


@pytest.fixture
def artifact(compiled: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(compiled, tmp_path / "cnn.edge")


def run_json(capture: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    capture.readouterr()
    status = main([*arguments, "--json"])
    return status, json.loads(capture.readouterr().out)


def test_no_records_and_some_exclude_each_other(tmp_path: Path, capsys: Capture) -> None:
    network = save(small_cnn(), tmp_path / "cnn.onnx")
    options = ["--untuned", "--records", str(tmp_path)]
    assert main(["compile", str(network), "-t", "host", *options]) == 2
    printed = capsys.readouterr().err
    assert "EC2513" in printed
    assert "--untuned uses none" in printed


def test_compile_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    save(small_cnn(), tmp_path / "cnn.onnx")
    assert main(["compile", "cnn.onnx", "-t", "host", "--verify"]) == 0
    printed = capsys.readouterr()
    labels = [line.split()[0] for line in printed.out.splitlines()]
    assert labels[:5] == ["wrote", "target", "flash", "arena", "kernels"]
    assert "wrote    cnn.edge" in printed.out
    assert "verified on local (executed-on-device): 3 samples" in printed.out
    assert printed.err.splitlines()[0] == "compiling cnn.onnx for host ..."
    assert (tmp_path / "cnn.edge" / "lib" / "libcnn.a").is_file()


def test_compile_as_json(tmp_path: Path, capsys: Capture) -> None:
    network = save(small_cnn(), tmp_path / "cnn.onnx")
    options = ("--name", "tiny", "--emit", "c", "-o", str(tmp_path / "out"))
    status, record = run_json(capsys, "compile", str(network), "-t", "host", *options)
    assert status == 0
    assert record["ok"] is True
    assert record["artifact"] == str(tmp_path / "out")
    assert record["report"]["network"] == "tiny"
    assert (tmp_path / "out" / "src" / "tiny.c").is_file()
    assert not (tmp_path / "out" / "lib").exists()


def test_a_network_over_budget_is_refused_and_nothing_is_written(tmp_path: Path, capsys: Capture) -> None:
    network = save(small_cnn(), tmp_path / "cnn.onnx")
    limits = ("--max-flash", "1k", "--max-ram", "100")
    status, record = run_json(
        capsys, "compile", str(network), "-t", "host", *limits, "-o", str(tmp_path / "out")
    )
    assert status == record["exit_code"] == 6
    assert [problem["code"] for problem in record["problems"]] == ["EC6001", "EC6002"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cnn.onnx"]


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    save(small_cnn(), tmp_path / "cnn.onnx")
    command = [sys.executable, "-m", "edgecompile", "compile", "cnn.onnx", "-t", "host"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "compiling cnn.onnx for host ...\n"
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert errors.strip() == "error[EC0130] interrupted."
    assert [path.name for path in tmp_path.iterdir()] == ["cnn.onnx"]


def test_verify_per_layer_names_every_layer(artifact: Path, capsys: Capture) -> None:
    status, record = run_json(capsys, "verify", str(artifact), "--per-layer")
    assert status == 0
    assert record["verification"]["passed"] is True
    assert record["verification"]["max_error"] <= 1e-4
    layers = {name for step in record["layers"] for name in step["layers"]}
    assert {"stem", "depthwise", "pointwise", "classifier", "softmax"} <= layers
    assert all(step["max_error"] <= 1e-4 for step in record["layers"])


def test_verify_finds_a_wrong_result(artifact: Path, capsys: Capture) -> None:
    status, record = run_json(capsys, "verify", str(artifact), "--device", "fake:wrong")
    assert status == 9
    (problem,) = record["problems"]
    assert problem["what"] == "output 'prob' on fake differs from the reference"
    assert re.match(r"got \S+, expected \S+; error \S+ of the output's range, allowed 0.0001", problem["why"])


def test_a_lost_device_is_exit_7(artifact: Path, capsys: Capture) -> None:
    assert main(["bench", str(artifact), "--device", "fake:lost"]) == 7
    assert "error[EC7001] the device cannot be reached" in capsys.readouterr().err


def test_a_changed_artifact_is_refused(artifact: Path, capsys: Capture) -> None:
    header = artifact / "include" / "cnn.h"
    header.write_text(header.read_text() + "\n")
    assert main(["verify", str(artifact)]) == 3
    assert "include/cnn.h is missing or was changed" in capsys.readouterr().err


def test_what_is_no_artifact_is_refused(tmp_path: Path, capsys: Capture) -> None:
    for verb in ("verify", "bench", "report"):
        assert main([verb, str(tmp_path)]) == 3
        assert "error[EC3040] not an edgecompile artifact" in capsys.readouterr().err


def test_bench_per_layer(artifact: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["bench", str(artifact), "--runs", "20", "--per-layer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "device        local"
    assert re.fullmatch(r"time          p50 [\d,.]+ µs, p99 [\d,.]+ µs \(20 runs\)", lines[1])
    assert lines[3].split() == ["µs", "INSTRUCTIONS", "KERNEL", "LAYERS"]
    assert "softmax" in lines[-1]


def test_report_says_how_far_it_was_verified(artifact: Path, capsys: Capture) -> None:
    assert main(["report", str(artifact)]) == 0
    before = capsys.readouterr().out
    assert "verified no (run `edgecompile verify`)" in before
    assert "input    x: float32 1x3x12x12" in before
    assert main(["verify", str(artifact)]) == 0
    status, record = run_json(capsys, "report", str(artifact))
    assert status == 0
    assert record["verification"]["level"] == "executed-on-device"
    assert main(["report", str(artifact)]) == 0
    assert "verified executed-on-device on local, max error" in capsys.readouterr().out


def test_targets_are_listed_and_shown(capsys: Capture) -> None:
    status, record = run_json(capsys, "targets", "list")
    assert status == 0
    assert {"host", "cortex-a72", "cortex-m4"} <= {target["name"] for target in record["targets"]}
    assert main(["targets", "show", "nucleo-l4r5zi"]) == 0
    shown = capsys.readouterr().out
    assert "target           cortex-m4\n" in shown
    assert "flash            2.0 MB\n" in shown
    assert "RAM              640.0 kB\n" in shown


def test_devices_are_listed_and_probed(capsys: Capture) -> None:
    assert main(["devices", "list"]) == 0
    printed = capsys.readouterr().out
    assert "ssh://[user@]host[:port]" in printed
    assert printed.endswith("\ncoreml-evaluator, htp-emulator: for `edgecompile verify` only\n")
    status, record = run_json(capsys, "devices", "probe", "local")
    assert (status, record["device"], record["level"]) == (0, "local", "executed-on-device")
    assert main(["devices", "probe", "loca"]) == 2
    assert "Fix: did you mean 'local'?" in capsys.readouterr().err


def test_constants_are_read() -> None:
    constants = parse_constants(["rate=16000", "scale=1,0.5", "a=b=-3"])
    assert {name: (array.dtype.name, array.tolist()) for name, array in constants.items()} == {
        "rate": ("int64", 16000),
        "scale": ("float32", [1.0, 0.5]),
        "a=b": ("int64", -3),
    }
    assert constants["rate"].shape == ()


@pytest.mark.parametrize(
    "text", ["rate", "=3", "rate=", "rate=1,,2", "rate=fast", "rate=99999999999999999999"]
)
def test_what_is_no_constant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"EC2004.*Fix: write it like --constant rate=16000") as caught:
        parse_constants([text])
    assert repr(text).strip("'") in str(caught.value)


def test_doctor_fails_when_something_required_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from edgecompile.doctor import Check

    checks = (
        Check("numpy", True, "2.4", "everything", "pip install numpy", required=True),
        Check("adb", False, "not found", "Android devices", "apt install adb"),
    )
    monkeypatch.setattr("edgecompile.doctor.examine", lambda: checks)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "adb: apt install adb"
    broken = Check(
        "apache-tvm", False, "not installed", "everything", "pip install apache-tvm", required=True
    )
    monkeypatch.setattr("edgecompile.doctor.examine", lambda: (*checks, broken))
    assert main(["doctor"]) == 5
    message = "error[EC5001] apache-tvm: not installed. Fix: pip install apache-tvm."
    assert message in capsys.readouterr().err
    status, record = run_json(capsys, "doctor")
    assert (status, record["problems"][0]["what"]) == (5, "apache-tvm")


def test_golden_inputs_may_be_given(tmp_path: Path, capsys: Capture) -> None:
    network = save(small_cnn(), tmp_path / "cnn.onnx")
    pictures = np.zeros((2, 1, 3, 12, 12), np.float32)
    np.savez(tmp_path / "inputs.npz", x=pictures)
    output = tmp_path / "cnn.edge"
    golden = ("--golden", str(tmp_path / "inputs.npz"))
    assert main(["compile", str(network), "-t", "host", *golden, "-o", str(output)]) == 0
    with np.load(output / "golden.npz") as arrays:
        np.testing.assert_array_equal(arrays["in_0"], pictures)
        assert arrays["out_0"].shape == (2, 1, 10)
