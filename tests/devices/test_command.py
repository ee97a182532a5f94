"""A board behind a command of the user; qemu stands for the board."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from edgecompile.cli.main import main
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.device import RunResult
from edgecompile.core.target import find_target
from edgecompile.devices.command import CommandDevice, open_command
from edgecompile.devices.open import open_device
from edgecompile.errors import DeviceError, InputError, MissingToolError, UsageError
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain
from edgecompile.tuning.database import Database
from edgecompile.tuning.session import Budget
from edgecompile.tuning.tune import TuneOptions, tune
from tests.fakes.build import request_for, target_or_skip
from tests.fakes.network import Bug, make_artifact, make_samples
from tests.support.networks import save, small_cnn

BOARD = Path(__file__).parent / "board"
SAMPLES = make_samples(3)


def opened(kind: str, **changes: object) -> CommandDevice:
    device = open_device(f"command:{BOARD / kind}.toml", find_target("cortex-m4"))
    assert isinstance(device, CommandDevice)
    return dataclasses.replace(device, command=dataclasses.replace(device.command, **changes))  # type: ignore[arg-type]


def run(device: CommandDevice, folder: Path, bug: Bug | None = None, timeout_s: float = 20.0) -> RunResult:
    target = target_or_skip("cortex-m4")
    toolchain = find_toolchain(target, executable=True)
    artifact = make_artifact(folder, target, toolchain, "lib", bug)
    program = build_runner(artifact, target, toolchain, folder / "runner", platform=device.platform)
    with device:
        return device.run(request_for(program, SAMPLES, repeats=2, timeout_s=timeout_s))


@pytest.mark.parametrize("kind", ["serial", "files"])
def test_a_network_runs_on_a_board(kind: str, tmp_path: Path) -> None:
    result = run(opened(kind), tmp_path)
    SAMPLES.check(result.outputs)
    assert len(result.cycles) == 2 * SAMPLES.count
    assert min(result.cycles) > 0
    assert result.nanoseconds == ()


def test_bench_shows_what_the_board_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = target_or_skip("cortex-m4")
    network, artifact = save(small_cnn(), tmp_path / "cnn.onnx"), tmp_path / "cnn.edge"
    compile_model(str(network), CompileOptions(target), artifact)
    board = ["--device", f"command:{BOARD / 'serial.toml'}"]
    assert main(["verify", str(artifact), *board]) == 0
    assert main(["bench", str(artifact), "--runs", "5", *board]) == 0
    assert re.search(r"^cycles +[\d,]+ per inference \(5 runs\)$", capsys.readouterr().out, re.MULTILINE)


def test_a_program_without_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="EC7003"):
        run(opened("serial", start_s=1.0), tmp_path, "HANG", timeout_s=1.0)


def test_a_fault_on_the_board_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7002.*a processor fault at 'serial': runner: processor fault"):
        run(opened("serial"), tmp_path, "CRASH")


def test_a_command_that_ends_too_early_is_a_lost_board(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7001.*the command ended before the program did.*no such port"):
        run(opened("serial", run=("echo", "no such port")), tmp_path)


def test_a_line_that_arrives_damaged_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7015.*the serial line is not reliable"):
        run(opened("serial", run=("echo", "@write out.bin 0102 00000000")), tmp_path)


@pytest.mark.parametrize("line", ["@write out.bin", "@read many", "@exit", "@write a b c d"])
def test_a_line_that_makes_no_sense_is_noticed(line: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="EC7015"):
        run(opened("serial", run=("echo", line)), tmp_path)


def test_a_board_is_tuned_by_its_own_cycles(tmp_path: Path) -> None:
    target_or_skip("cortex-m4")
    network = save(small_cnn(), tmp_path / "cnn.onnx")
    spec = f"command:{BOARD / 'serial.toml'}"
    result = tune(str(network), TuneOptions(find_target("cortex-m4"), tmp_path / "r", (spec,), Budget(2)))
    trials = Database.open(tmp_path / "r").trials
    assert result.metric == "cycles"
    assert {trial.device for trial in trials} == {"serial: a board behind start.sh"}
    assert all(trial.value or trial.failure == "noisy" for trial in trials)


def test_files_stay_in_their_folder(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        run(opened("serial", run=("echo", f"@write {tmp_path}/evil 01 050c5d1e")), tmp_path)
    assert not (tmp_path / "evil").exists()


def test_a_missing_program_is_named() -> None:
    device = opened("serial", run=("no-such-flasher",), install="apt install it")
    with pytest.raises(MissingToolError, match=r"no-such-flasher not found.*apt install it"), device:
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 2", "not a device file"),
        ("schema = 1\n[device.command]\nrun = ['a']\nspeed = 1", "unknown field 'speed'"),
        ("schema = 1\n[device.command]\n", "missing field 'run'"),
        ("schema = 1\n[device.command]\nrun = ['a']\nexchange = 'usb'", "bad value 'usb'"),
        ("schema", "cannot read the device file"),
    ],
)
def test_a_bad_device_file_is_explained(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"EC3020.*{message}"):
        open_command(str(path))


def test_a_device_file_is_needed() -> None:
    with pytest.raises(UsageError, match=r"EC2027.*write --device command:board\.toml"):
        open_command("")
