"""Which micro-kernels an instruction set has."""

from __future__ import annotations

from dataclasses import replace

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.dot import Dot
from edgecompile.kernels.intrinsics.in_steps import PREFIX, InSteps
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.intrinsics.multiply_add_int4 import MultiplyAddInt4
from edgecompile.kernels.intrinsics.pmaddwd import Pmaddwd
from edgecompile.kernels.intrinsics.sdot import Sdot
from edgecompile.kernels.intrinsics.smlad import Smlad
from edgecompile.kernels.intrinsics.smlal import Smlal
from edgecompile.kernels.intrinsics.smmla import Smmla
from edgecompile.kernels.intrinsics.smull import Smull
from edgecompile.kernels.intrinsics.vnni import Vnni
from edgecompile.kernels.machine import Machine


def float_kernel(isa: Isa) -> MicroKernel:
    """The micro-kernel for float32 products."""
    return MultiplyAdd(Machine.of(isa), by_lane=isa.intrinsics and isa.triple.startswith("aarch64"))


def few_columns_kernels(isa: Isa) -> list[MicroKernel]:
    """Others for float32 products, which may be faster where columns do not fill vectors.

    Vectors along k are no loops over lanes, so portable C has none.
    """
    machine = Machine.of(isa)
    widths = [1 << bit for bit in range(2, machine.lanes.bit_length())]
    narrow = [MultiplyAdd(replace(machine, lanes=w), is_narrow=True) for w in widths if w < machine.lanes]
    return [*narrow, *(Dot(machine, width) for width in widths if isa.intrinsics)]


def int4_kernel(isa: Isa) -> MicroKernel:
    """The micro-kernel for float32 rows times weights of 4 bits."""
    return MultiplyAddInt4(Machine.of(isa), in_bytes=isa.intrinsics and isa.triple.startswith("aarch64"))


def integer_kernel(isa: Isa, data: str, least_weight: int, rows: int) -> MicroKernel:
    """The micro-kernel for `rows` rows of type `data` (int8, uint8 or int16) times int8 weights, into int32.

    `least_weight` is the lowest of the weights: for -128 some instructions would overflow.
    """
    plain = MultiplyAdd(Machine.of(isa), data=data, accumulator="int32")
    if not isa.intrinsics:
        return plain
    fitting = [kernel for kernel in _integer_kernels(isa) if kernel.data in (data, "int16")]
    unfit = {"smull"} if least_weight == -128 else set()
    unfit |= {"smmla"} if rows == 1 else set()  # half of each product would be for nothing
    fitting = [kernel for kernel in fitting if kernel.name not in unfit]
    return (*fitting, plain)[0]


def find_kernel(name: str, isa: Isa) -> MicroKernel:
    """The micro-kernel that a plan names."""
    if name.startswith(PREFIX):
        return InSteps(find_kernel(name.removeprefix(PREFIX), isa))
    machine = Machine.of(isa)
    plain = [MultiplyAdd(machine, data=data, accumulator="int32") for data in ("int8", "uint8", "int16")]
    floats = float_kernel(isa), int4_kernel(isa), *few_columns_kernels(isa)
    return {kernel.name: kernel for kernel in (*floats, *plain, *_integer_kernels(isa))}[name]


def _integer_kernels(isa: Isa) -> list[MicroKernel]:
    """The kernels for bytes, best first; those for 16 bits widen bytes where there is nothing for them."""
    pmaddwd = Pmaddwd(isa.vector_bits)
    kernels: dict[str, list[MicroKernel]] = {
        "vnni": [Vnni(isa.vector_bits), replace(pmaddwd, adds=True)],
        "pmaddwd": [pmaddwd],
        "sdot": [Sdot(), Smlal()],
        "smmla": [Smmla(), Sdot(), Smlal()],
        "smlad": [Smlad()],
        "smull": [Smull(), Smull(any_weight=True), Smlal()],
    }
    return kernels.get(isa.int8, [])
