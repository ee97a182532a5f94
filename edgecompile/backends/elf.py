"""How much flash an object file occupies."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile


def flash_bytes(path: Path) -> int:
    """Bytes of code, constants and initialised data in an ELF object (unwind tables excluded)."""
    with path.open("rb") as stream:
        return sum(
            int(section["sh_size"])
            for section in ELFFile(stream).iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC
            and section["sh_type"] == "SHT_PROGBITS"
            and not section.name.startswith(".eh_frame")
        )
