"""Check that a stream waits where it must: kernels and copies run side by side.

Two kernels and one copy (two on the Ethos-U65) can be under way. NPU_OP_KERNEL_WAIT and NPU_OP_DMA_WAIT
wait until at most so many are. Kernels keep their order by themselves (BLOCKDEP, which is not checked here);
a copy and anything else that touches the same bytes, one of them writing, must be kept apart by a wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.memory import Access

_KERNELS = 2


class Hazards:
    """What may still be under way, the oldest first."""

    def __init__(self, copies: int) -> None:
        self._kernels: deque[list[Access]] = deque(maxlen=_KERNELS)
        self._copies: deque[list[Access]] = deque(maxlen=copies)

    def wait_for_kernels(self, left: int) -> None:
        """NPU_OP_KERNEL_WAIT."""
        _wait(self._kernels, left)

    def wait_for_copies(self, left: int) -> None:
        """NPU_OP_DMA_WAIT."""
        _wait(self._copies, left)

    def start_kernel(self, accesses: list[Access]) -> None:
        """A kernel begins. Fault EC4569 when a copy under way touches the same bytes."""
        _keep_apart(accesses, self._copies, "NPU_OP_DMA_WAIT")
        self._kernels.append(accesses)

    def start_copy(self, accesses: list[Access]) -> None:
        """A copy begins. Fault EC4569 when anything under way touches the same bytes."""
        _keep_apart(accesses, self._copies, "NPU_OP_DMA_WAIT")
        _keep_apart(accesses, self._kernels, "NPU_OP_KERNEL_WAIT")
        self._copies.append(accesses)


def _wait(queue: deque[list[Access]], left: int) -> None:
    while len(queue) > left:
        queue.popleft()


def _keep_apart(accesses: list[Access], others: Iterable[list[Access]], wait: str) -> None:
    for other in (access for under_way in others for access in under_way):
        for access in accesses:
            if access.collides(other):
                first, end = max(access.first, other.first), min(access.end, other.end)
                why = f"bytes {first:#x}-{end:#x} of region {access.region} are still in use: no {wait}"
                raise Fault("EC4569", "an operation does not wait for another", why)
