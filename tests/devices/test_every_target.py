"""Every target file: its compiler links the runner, and its device or emulator executes it correctly."""

from __future__ import annotations

import pytest

from edgecompile.core.target import find_target, load_targets
from edgecompile.devices.open import open_device
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import make_samples

SAMPLES = make_samples(3)
# Those with an accelerator have the CPU of another target beside it.
CPUS = {name: target for name, target in load_targets().items() if target.backend == "cpu"}
EMULATED = [name for name, target in CPUS.items() if target.emulator is not None]
MICROCONTROLLERS = [name for name, target in CPUS.items() if target.toolchain.firmware]


@pytest.mark.parametrize("name", list(CPUS))
def test_usual_device_computes_the_right_outputs(name: str) -> None:
    target = find_target(name)
    executable = fake_runner(name)
    with open_device(None, target) as device:
        result = device.run(request_for(executable, SAMPLES, repeats=2))
    SAMPLES.check(result.outputs)


@pytest.mark.parametrize("name", EMULATED)
def test_instruction_counts_are_equal_in_every_run(name: str) -> None:
    target = find_target(name)
    executable = fake_runner(name)
    request = request_for(executable, SAMPLES, repeats=2, count=True)
    with open_device("qemu", target) as device:
        first, second = device.run(request), device.run(request)
    SAMPLES.check(first.outputs)
    assert first.instructions is not None
    assert 100 < first.instructions < 20_000
    assert first == second
    assert first.nanoseconds == ()


@pytest.mark.parametrize("name", EMULATED)
def test_traced_run_delivers_every_step(name: str) -> None:
    target = find_target(name)
    executable = fake_runner(name, trace=True)
    request = request_for(executable, SAMPLES, repeats=2, count=True, trace=True)
    with open_device("qemu", target) as device:
        result = device.run(request)
    SAMPLES.check(result.outputs)
    SAMPLES.check_trace(result.trace)
    assert result.instructions is not None
    scale, exp, total = result.step_instructions
    assert exp > scale > total > 0
    assert result.instructions == pytest.approx(scale + exp + total, abs=200)


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_c_sources_give_the_right_outputs_on_a_microcontroller(name: str) -> None:
    executable = fake_runner(name, emit="c")
    with open_device(None, find_target(name)) as device:
        SAMPLES.check(device.run(request_for(executable, SAMPLES)).outputs)
