from __future__ import annotations

import contextlib
import statistics
import time

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


def test_a_slow_device_takes_ten_times_as_long() -> None:
    assert run_once("fake:slow").nanoseconds[0] % 10 == 0
    assert run_once("fake:slow").nanoseconds[0] >= 100


def test_a_device_gets_slow_half_way_through() -> None:
    request = request_for(fake_runner("host"), SAMPLES, repeats=100)
    with open_device("fake:slowing", HOST) as device:
        times = device.run(request).nanoseconds
    assert statistics.median(times[50:]) > 3 * statistics.median(times[:50])


def test_a_bad_clock_scatters() -> None:
    request = request_for(fake_runner("host"), SAMPLES, repeats=100)
    with open_device("fake:noisy", HOST) as device:
        times = device.run(request).nanoseconds
    assert statistics.pstdev(times) > 0.1 * statistics.mean(times)


def test_a_device_that_hangs_costs_the_time_out() -> None:
    begin = time.monotonic()
    with open_device("fake:hang", HOST) as device, pytest.raises(DeviceError, match="EC7003"):
        device.run(request_for(fake_runner("host"), SAMPLES, timeout_s=0.5))
    assert 0.5 <= time.monotonic() - begin < 5.5


def test_a_fault_in_one_run_only() -> None:
    request = request_for(fake_runner("host"), SAMPLES)
    with open_device("fake:lost@2", HOST) as device:
        SAMPLES.check(device.run(request).outputs)
        with pytest.raises(DeviceError, match="EC7001"):
            device.run(request)
        SAMPLES.check(device.run(request).outputs)


@pytest.mark.parametrize(("spec", "lost"), [("lost@2-3", {2, 3}), ("lost@3-", {3, 4})])
def test_a_fault_in_some_runs(spec: str, lost: set[int]) -> None:
    """A board that starts again, and one whose cable is pulled."""
    request = request_for(fake_runner("host"), SAMPLES)
    with open_device(f"fake:{spec}", HOST) as device:
        for number in range(1, 5):
            with pytest.raises(DeviceError) if number in lost else contextlib.nullcontext():
                device.run(request)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(UsageError, match=r"EC2025.*unknown fault 'lots'.*did you mean 'lost'\?"):
        open_device("fake:lots", HOST)
    with pytest.raises(UsageError, match="EC2025"):
        open_device("fake:lost@0", HOST)


def test_it_proves_nothing() -> None:
    device = open_device("fake", HOST)
    assert device.level == "structure-only"
    assert device.health().endswith("with the fault 'none'")
