"""How a product is computed on a GPU: which part of it a block has, and which a thread or warp."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product as combinations

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_gemm import GemmPlan, rows_of
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.schedules.gemm_plan import Product


@dataclass(frozen=True)
class Arithmetic:
    """What multiplies words of `group` neighbours in k: each thread its own sums, or a warp together.

    `rate` is how many multiply-adds a multiprocessor does in a cycle, as NVIDIA states it for 8.6. Words and
    sums have `nbytes`.
    """

    name: str
    group: int
    rate: int
    nbytes: int = 4

    @property
    def by_warps(self) -> bool:
        """Whether a warp computes a tile of 16 x 8 sums with one instruction, from 8 words of k."""
        return self.name.startswith("mma")


THREADS = Arithmetic("threads", 1, 128)
# For sums of integers that need 64 bits.
WIDE = Arithmetic("wide", 1, 16, 8)
# Four bytes a word; the instruction for threads is as fast as one multiply-add.
DP4A = Arithmetic("dp4a", 4, 512)
MMA_BYTES = Arithmetic("mma_s8", 4, 2048)
# Products of halves, summed in float32.
MMA_HALVES = Arithmetic("mma_f16", 2, 1024)
ARITHMETICS = {kind.name: kind for kind in (THREADS, WIDE, DP4A, MMA_BYTES, MMA_HALVES)}
# The tile of an instruction of a warp, and how many words of k it takes.
MMA_ROWS, MMA_COLUMNS, MMA_WORDS = 16, 8, 8

# Threads that hide the latency of one another.
_BUSY_THREADS = 256
# Words that a multiprocessor gets from memory, or a cache that all share, in a cycle.
_FETCHED_WORDS = 8
# Cycles until what is fetched is there, of two barriers, of a launch, and of a slice's partial sums.
_FETCH_CYCLES = 500.0
_STEP_CYCLES = 60.0
_LAUNCH_CYCLES = 1500.0
_SLICE_CYCLES = 120.0
# Words that a multiprocessor brings to its threads' registers in a cycle.
_SHARED_WORDS = 32
# Registers of a thread for sums, for what it fetches, and for everything else.
_MAX_SUMS, _MAX_HELD, _OTHER_REGISTERS = 64, 40, 48
# Words between rows of a step's data in the memory of a block: neighbours in k are then in different banks.
_PAD, _MMA_PAD = 4, 8


@dataclass(frozen=True)
class GpuPlan(GemmPlan):
    """A block computes `block` rows x `columns`, `step` of k at a time, by the arithmetic `kernel`.

    A thread, or a warp where those multiply together, computes `rows` x `thread_columns`. `slices` groups of
    threads share the k of every step and add their sums in the end.
    """

    KNOBS = ("kernel", "rows", "columns", "block", "step", "thread_columns", "slices")

    step: int = 16
    thread_columns: int = 4
    slices: int = 1

    @property
    def arithmetic(self) -> Arithmetic:
        return ARITHMETICS[self.kernel]

    @property
    def words(self) -> int:
        """Words of k in a step."""
        return self.step // self.group

    @property
    def threads(self) -> int:
        """Threads of a block."""
        tiles = self.block // self.rows * (self.columns // self.thread_columns) * self.slices
        return tiles * 32 if self.arithmetic.by_warps else tiles

    @property
    def sums(self) -> int:
        """Sums of a thread."""
        sums = self.rows * self.thread_columns
        return sums // 32 if self.arithmetic.by_warps else sums

    @property
    def pitches(self) -> tuple[int, int]:
        """Words from one k to the next of a step's data, and of its weights."""
        if self.arithmetic.by_warps:
            return self.block + _MMA_PAD, self.columns + _MMA_PAD
        return self.block + _PAD if self.block > 1 else 1, self.columns

    @property
    def shared_words(self) -> int:
        """What a block keeps for its threads of a step of both operands."""
        return self.words * sum(self.pitches)

    @property
    def held(self) -> int:
        """Words that a thread fetches for a step."""
        return math.ceil(self.words * self.block / self.threads) + math.ceil(
            self.words * self.columns / self.threads
        )

    @property
    def registers(self) -> int:
        """About as many as a block needs."""
        return self.threads * (self.sums + self.held + _OTHER_REGISTERS)

    @property
    def shared_sums(self) -> int:
        """The sums of all slices but one."""
        return (self.slices - 1) * self.block * self.columns

    @staticmethod
    def load(text: str) -> GpuPlan:
        fields = json.loads(text)
        if fields["window"] is not None:
            fields["window"] = Window(**{name: tuple(value) for name, value in fields["window"].items()})
        return GpuPlan(**fields)

    def dump(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def choose_gpu_plan(gpu: Gpu, product: Product, *kinds: Arithmetic) -> GpuPlan:
    """The plan that is expected to take the fewest cycles, the smaller one among equals."""
    plans = (plan for kind in kinds for plan in gpu_plans(gpu, product, kind))
    return min(plans, key=lambda plan: (cycles(gpu, product, plan), plan.threads))


def gpu_plans(gpu: Gpu, product: Product, kind: Arithmetic) -> Iterator[GpuPlan]:
    """All plans for `product` by one arithmetic."""
    m = rows_of(product.shape)
    least = MMA_ROWS if kind.by_warps else 1
    blocks = [b for b in (1, 8, 16, 32, 64, 128) if b >= least and (b == least or b < 2 * m)]
    columns = [c for c in (8, 16, 32, 64, 128) if c <= 32 or c < 2 * product.n]
    own = ((16, 32, 64), (8, 16, 32, 64)) if kind.by_warps else ((1, 2, 4, 8), (1, 2, 4, 8))
    for block, across, rows, thread_columns, slices, many in combinations(
        blocks, columns, *own, (1, 2, 4, 8, 16), (1, 2, 4)
    ):
        words = _step_words(kind, -(-product.k // kind.group), slices) * many
        plan = _plan(product, kind, block, across, rows, thread_columns, slices, words)
        if plan is not None and _fits(gpu, plan) and -(-m // block) <= gpu.most_blocks:
            yield plan


def _plan(
    product: Product,
    kind: Arithmetic,
    block: int,
    columns: int,
    rows: int,
    thread_columns: int,
    slices: int,
    words: int,
) -> GpuPlan | None:
    if block % rows or columns % thread_columns:
        return None
    step = words * kind.group
    return GpuPlan(
        kernel=kind.name,
        source="gather",
        n=product.n,
        k=product.k,
        depth=-(-product.k // step) * step,
        group=kind.group,
        lanes=columns,
        rows=rows,
        columns=columns,
        block=block,
        groups=product.groups,
        window=product.window,
        pad=product.pad,
        step=step,
        thread_columns=thread_columns,
        slices=slices,
    )


def _step_words(kind: Arithmetic, words: int, slices: int) -> int:
    """Words of k in a step: each slice has its share, and threads have something to fetch ahead."""
    if kind.by_warps:
        return MMA_WORDS * max(slices, 2 if words > MMA_WORDS else 1)
    return max(16, 2 * slices) if words > 8 else 8


def _fits(gpu: Gpu, plan: GpuPlan) -> bool:
    return (
        gpu.warp <= plan.threads <= 512
        and plan.threads % gpu.warp == 0
        and plan.sums <= _MAX_SUMS
        and plan.held <= _MAX_HELD
        and plan.registers <= gpu.registers
        and plan.arithmetic.nbytes * (plan.shared_words + plan.shared_sums) <= gpu.shared_bytes
        and (plan.slices == 1 or plan.depth // plan.step > 1)
    )


def cycles(gpu: Gpu, product: Product, plan: GpuPlan) -> float:
    """A rough estimate, not yet compared with any GPU: blocks in rounds, each of steps that threads share.

    A step takes as long as what all blocks on a multiprocessor fetch and multiply, or as one fetch.
    """
    blocks = math.ceil(rows_of(product.shape) / plan.block) * plan.tiles * plan.groups
    each = math.ceil(blocks / gpu.multiprocessors)
    together = min(each, _resident(gpu, plan))
    busy = min(1.0, plan.threads * together / _BUSY_THREADS)
    fetch = plan.words * (plan.block + plan.columns) * plan.arithmetic.nbytes / 4 / _FETCHED_WORDS
    step = max(together * (_multiply_cycles(plan) / busy + fetch), _FETCH_CYCLES) + _STEP_CYCLES
    once = 2 * _FETCH_CYCLES + _SLICE_CYCLES * math.log2(plan.slices)
    return math.ceil(each / together) * (plan.depth // plan.step * step + once) + _LAUNCH_CYCLES


def _resident(gpu: Gpu, plan: GpuPlan) -> int:
    """Blocks that a multiprocessor can have at a time."""
    nbytes = plan.arithmetic.nbytes * (plan.shared_words + plan.shared_sums)
    registers = gpu.registers // plan.registers
    return min(gpu.resident_threads // plan.threads, gpu.resident_bytes // nbytes, registers)


def _multiply_cycles(plan: GpuPlan) -> float:
    """Of a block's step, on a multiprocessor by itself."""
    area, edge = plan.rows * plan.thread_columns, plan.rows + plan.thread_columns
    multiply = plan.block * plan.columns * plan.step / plan.arithmetic.rate
    if plan.arithmetic.by_warps:
        tiles = plan.block * plan.columns // area
        return max(multiply, tiles * edge * plan.words / _SHARED_WORDS)
    return multiply * (1 + edge / area)
