from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.qemu import QemuDevice
from edgecompile.errors import DeviceError, MissingToolError, UsageError
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import make_samples

SAMPLES = make_samples(2)


@pytest.mark.parametrize("name", ["cortex-a72", "cortex-m4"])
def test_a_network_that_hangs_is_stopped(name: str) -> None:
    request = request_for(fake_runner(name, bug="HANG"), SAMPLES, timeout_s=3)
    with (
        QemuDevice(find_target(name)) as device,
        pytest.raises(DeviceError, match=r"EC7003.*longer than 3 s"),
    ):
        device.run(request)


def test_a_crash_in_user_mode_names_the_signal() -> None:
    request = request_for(fake_runner("cortex-a72", bug="CRASH"), SAMPLES)
    with QemuDevice(find_target("cortex-a72")) as device, pytest.raises(DeviceError) as raised:
        device.run(request)
    assert "error[EC7002] the program crashed with SIG" in str(raised.value)


def test_a_fault_of_firmware_names_its_cause() -> None:
    request = request_for(fake_runner("cortex-m4", bug="CRASH"), SAMPLES)
    with QemuDevice(find_target("cortex-m4")) as device, pytest.raises(DeviceError) as raised:
        device.run(request)
    # Bit 16 of the configurable fault status register: undefined instruction.
    assert "crashed with a processor fault at 'qemu': runner: processor fault, CFSR 0x00010000" in str(
        raised.value
    )


def test_firmware_takes_many_samples_one_by_one() -> None:
    many = make_samples(200)
    with QemuDevice(find_target("cortex-m4")) as device:
        many.check(device.run(request_for(fake_runner("cortex-m4"), many)).outputs)


def test_a_newer_instruction_than_the_emulated_cpu_has_is_noticed() -> None:
    """The target's CPU model is what is emulated, not the largest one."""
    target = find_target("cortex-m55")
    executable = fake_runner("cortex-m55")
    assert target.emulator is not None
    older = dataclasses.replace(target.emulator, cpu="cortex-m33")
    with QemuDevice(dataclasses.replace(target, emulator=older)) as device, pytest.raises(DeviceError):
        device.run(request_for(executable, SAMPLES))


def test_missing_emulator_names_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as raised, QemuDevice(find_target("cortex-a72")):
        pass
    assert str(raised.value) == "error[EC5001] qemu-aarch64 not found. Fix: apt install qemu-user."


def test_a_target_without_emulator_is_refused() -> None:
    with pytest.raises(UsageError) as raised, QemuDevice(find_target("host")):
        pass
    assert "error[EC2022] target host has no emulator" in str(raised.value)
    assert "use --device local" in str(raised.value)


@pytest.mark.parametrize(("name", "model"), [("cortex-a72", "cortex-a72"), ("cortex-m4", "mps2-an386")])
def test_health_names_emulator_and_model(name: str, model: str) -> None:
    fake_runner(name)
    with QemuDevice(find_target(name)) as device:
        health = device.health()
    assert re.fullmatch(rf"qemu-\S+ \d+\.\d+\S*, {model}", health)
