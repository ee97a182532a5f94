from __future__ import annotations

import pytest

from edgecompile.core.device import RunResult
from edgecompile.core.target import find_target
from edgecompile.devices.open import open_device
from edgecompile.errors import DeviceError, UsageError
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import make_samples

HOST = find_target("host")
SAMPLES = make_samples(1)


def run_once(spec: str) -> RunResult:
    with open_device(spec, HOST) as device:
        return device.run(request_for(fake_runner("host"), SAMPLES))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("lost", "error[EC7001] the device cannot be reached at 'fake': as demanded."),
        ("timeout", "error[EC7003] the program was stopped at 'fake': it ran longer than 60 s."),
        ("crash", "error[EC7002] the program crashed with SIGSEGV at 'fake': as demanded."),
    ],
)
def test_a_fault_is_the_error_that_a_board_would_give(fault: str, message: str) -> None:
    with pytest.raises(DeviceError) as raised:
        run_once(f"fake:{fault}")
    assert str(raised.value).startswith(message)


def test_wrong_outputs_are_all_wrong() -> None:
    right, wrong = run_once("fake:none").outputs, run_once("fake:wrong").outputs
    SAMPLES.check(right)
    assert len(wrong) == len(right)
    assert all(a != b for a, b in zip(right, wrong, strict=True))


def test_a_slow_device_takes_longer() -> None:
    assert run_once("fake:slow").nanoseconds[0] % 100 == 0
    assert run_once("fake:slow").nanoseconds[0] >= 100


def test_a_fault_in_one_run_only() -> None:
    request = request_for(fake_runner("host"), SAMPLES)
    with open_device("fake:lost@2", HOST) as device:
        SAMPLES.check(device.run(request).outputs)
        with pytest.raises(DeviceError, match="EC7001"):
            device.run(request)
        SAMPLES.check(device.run(request).outputs)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(UsageError, match=r"EC2025.*unknown fault 'lots'.*did you mean 'lost'\?"):
        open_device("fake:lots", HOST)
    with pytest.raises(UsageError, match="EC2025"):
        open_device("fake:lost@0", HOST)


def test_it_proves_nothing() -> None:
    device = open_device("fake", HOST)
    assert device.level == "structure-only"
    assert device.health().endswith("with the fault 'none'")
