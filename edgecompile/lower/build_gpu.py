"""Everything between a canonical graph and what compilers take for a GPU: CUDA C, and the launcher in C."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgecompile.core.model import Model
from edgecompile.core.target import Cuda, Isa
from edgecompile.lower.cuda import generate_cuda
from edgecompile.lower.kernel import schedule_kernel
from edgecompile.lower.launcher import LauncherSources, generate_launcher
from edgecompile.lower.lower import PlansOf, lower_graph
from edgecompile.lower.program import Program
from edgecompile.lower.storage import Storage, assign_storage


@dataclass(frozen=True)
class GpuNetwork:
    """The placed program, the CUDA C of its kernels, and the launcher."""

    program: Program
    storage: Storage
    kernels: str
    launcher: LauncherSources


def build_gpu_network(model: Model, name: str, gpu: Cuda, align: int, plans: PlansOf) -> GpuNetwork:
    """Lower, schedule and generate code for `model`; values lie at multiples of `align` bytes.

    Raises UnsupportedError for nodes that cannot be compiled.
    """
    isa = gpu_isa(gpu)
    lowered = lower_graph(model, name, isa, plans)
    scheduled = {symbol: schedule_kernel(f, isa) for symbol, f in lowered.functions.items()}
    source = generate_cuda(scheduled, gpu.architecture)
    steps = tuple(
        replace(step, workspace=source.kernels[step.symbol].workspace) if step.symbol else step
        for step in lowered.program.steps
    )
    storage = assign_storage(replace(lowered.program, steps=steps), align)
    launcher = generate_launcher(name, storage, source.kernels, gpu.architecture)
    return GpuNetwork(storage.program, storage, source.text, launcher)


def gpu_isa(gpu: Cuda) -> Isa:
    """What kernels are chosen by: a machine without vectors and intrinsics of a CPU."""
    return Isa(
        triple="nvptx64-nvidia-cuda",
        cpu=gpu.architecture,
        pointer_bits=64,
        intrinsics=False,
        multiprocessors=gpu.multiprocessors,
    )
