from __future__ import annotations

import platform

import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.local import LocalDevice
from edgecompile.errors import DeviceError, UsageError
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import make_samples

HOST = find_target("host")
SAMPLES = make_samples(4)


def test_outputs_and_times_come_back() -> None:
    with LocalDevice(HOST) as device:
        result = device.run(request_for(fake_runner("host"), SAMPLES, repeats=3))
    SAMPLES.check(result.outputs)
    assert len(result.nanoseconds) == 12
    assert result.instructions is None
    assert device.level == "executed-on-device"


def test_traced_run_has_times_for_its_steps() -> None:
    request = request_for(fake_runner("host", trace=True), SAMPLES, trace=True)
    with LocalDevice(HOST) as device:
        result = device.run(request)
    SAMPLES.check(result.outputs)
    SAMPLES.check_trace(result.trace)
    assert len(result.step_nanoseconds) == 3


def test_c_sources_compute_the_same() -> None:
    with LocalDevice(HOST) as device:
        SAMPLES.check(device.run(request_for(fake_runner("host", emit="c"), SAMPLES)).outputs)


def test_a_network_that_hangs_is_stopped() -> None:
    request = request_for(fake_runner("host", bug="HANG"), SAMPLES, timeout_s=0.5)
    with LocalDevice(HOST) as device, pytest.raises(DeviceError, match=r"EC7003.*longer than 0\.5 s"):
        device.run(request)


def test_another_cpu_is_refused() -> None:
    with pytest.raises(UsageError) as raised, LocalDevice(find_target("cortex-m4")):
        pass
    assert "error[EC2021] this" in str(raised.value)
    assert "cannot execute programs for cortex-m4" in str(raised.value)
    assert "--device qemu" in str(raised.value)


def test_health_names_the_system() -> None:
    with LocalDevice(HOST) as device:
        assert platform.release() in device.health()
