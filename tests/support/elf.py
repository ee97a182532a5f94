"""What object files need from elsewhere, and what they would change."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection


def undefined_symbols(path: Path) -> frozenset[str]:
    """Names that an ELF object expects from elsewhere."""
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
        return frozenset(s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s.name)


def writable_bytes(path: Path) -> int:
    """Bytes of variables (.data and .bss) in an ELF object.

    Constants that hold addresses are not counted: in position-independent code they lie in .data.rel.ro,
    which is written once by the loader and read-only from then on.
    """
    with path.open("rb") as stream:
        return sum(
            int(section["sh_size"])
            for section in ELFFile(stream).iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC
            and section["sh_flags"] & SH_FLAGS.SHF_WRITE
            and not section.name.startswith(".data.rel.ro")
        )
