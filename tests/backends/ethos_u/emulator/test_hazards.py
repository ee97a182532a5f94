"""Copies and what uses the same bytes must be kept apart by waits."""

from __future__ import annotations

import pytest

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.hazards import Hazards
from edgecompile.backends.ethos_u.emulator.memory import Access

COPY = [Access(0, 0, 64, is_write=False), Access(1, 128, 192, is_write=True)]
READER = [Access(1, 190, 200, is_write=False), Access(1, 0, 10, is_write=True)]


def test_a_kernel_waits_for_a_copy() -> None:
    hazards = Hazards(1)
    hazards.start_copy(COPY)
    with pytest.raises(Fault, match=r"bytes 0xbe-0xc0 of region 1 are still in use: no NPU_OP_DMA_WAIT"):
        hazards.start_kernel(READER)
    hazards.wait_for_copies(0)
    hazards.start_kernel(READER)


def test_a_copy_waits_for_kernels() -> None:
    hazards = Hazards(1)
    hazards.start_kernel(READER)
    hazards.start_kernel([Access(2, 0, 10, is_write=True)])
    hazards.wait_for_kernels(2)
    with pytest.raises(Fault, match="no NPU_OP_KERNEL_WAIT"):
        hazards.start_copy(COPY)
    hazards.wait_for_kernels(1)
    hazards.start_copy(COPY)


def test_two_copies_at_a_time() -> None:
    hazards = Hazards(2)
    hazards.start_copy(COPY)
    with pytest.raises(Fault, match="no NPU_OP_DMA_WAIT"):
        hazards.start_copy([Access(1, 150, 151, is_write=True)])


def test_readers_do_not_wait_for_each_other_nor_for_what_is_over() -> None:
    hazards = Hazards(1)
    hazards.start_kernel([Access(0, 0, 64, is_write=False)])
    hazards.start_copy(COPY)
    hazards.start_copy([Access(0, 0, 64, is_write=False), Access(3, 0, 64, is_write=True)])
    hazards.start_kernel([Access(1, 128, 192, is_write=False)])
