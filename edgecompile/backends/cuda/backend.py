"""NVIDIA GPUs: kernels in CUDA C, compiled here without a GPU, and a launcher in C without a runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.cuda.files import describe_gpu
from edgecompile.backends.cuda.library import write_launcher
from edgecompile.backends.pipeline import check_fallback, cpu_passes, demanded_rounding
from edgecompile.core.artifact import Emit
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.errors import Problem, UsageError
from edgecompile.lower.build_gpu import build_gpu_network
from edgecompile.toolchain.cuda import find_cuda_compiler
from edgecompile.toolchain.find import find_toolchain


class CudaBackend:
    """Every kernel for the GPU; the CPU beside it only launches them."""

    emits: tuple[Emit, ...] = ("lib", "c")
    tools: tuple[str, ...] = ()

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises UsageError (EC2030, EC2035) and InputError (EC3060)."""
        check_fallback(request, "the GPU computes all of it")
        if request.threads > 1:
            what = f"a network for {request.target.name} does not use threads"
            why, fix = "the GPU computes all of it", "leave --threads out"
            raise UsageError(Problem("EC2030", what, "--threads", why, fix))
        rounding = request.rounding or demanded_rounding(model, request.target)
        return cpu_passes(request.target, rounding, request.integer_io)

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """See `Backend`; raises UnsupportedError, MissingToolError (EC5010, EC5590)."""
        gpu = describe_gpu(request.target)
        compiler = find_cuda_compiler()
        toolchain = find_toolchain(request.target)
        align = request.target.codegen.align
        network = build_gpu_network(model, request.name, gpu, align, request.plans)
        binary = compiler.compile(network.kernels, gpu.architecture)
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
            build = write_launcher(network, binary, model, request, toolchain, folder, Path(scratch))
        build.figures["toolchain"] = f"{build.figures['toolchain']}; {compiler.version}"
        return build
