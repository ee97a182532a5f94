"""The Ethos-U55 and Ethos-U65 configurations: what of them decides how a command stream is read.

Numbers: the table `accelerator_configs` of Arm's compiler Vela, and the header that it writes. The Ethos-U85
has other registers and is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.backends.ethos_u.emulator.fault import Fault

_BANK = 1024
_TABLE_BYTES = 2048


@dataclass(frozen=True)
class Configuration:
    """One NPU. `micro_block`: the least (height, width, depth) of results that one core computes at once."""

    name: str
    product: int
    macs: int
    cores: int
    micro_block: tuple[int, int, int]
    banks: int

    @property
    def shared_bytes(self) -> int:
        """Bytes of one core's internal memory."""
        return self.banks * _BANK

    @property
    def tables_at(self) -> int:
        """Where in the internal memory the lookup tables begin."""
        return self.shared_bytes - _TABLE_BYTES

    @property
    def keeps_tables(self) -> bool:
        """Whether the banks of the tables are used for nothing else."""
        return self.banks > 16

    @property
    def outstanding_copies(self) -> int:
        """How many copies may be under way at the same time."""
        return 2 if self.product else 1

    @property
    def address_bits(self) -> int:
        """Width of an address."""
        return 40 if self.product else 32


_ALL = (
    Configuration("ethos-u55-32", 0, 32, 1, (1, 1, 4), 16),
    Configuration("ethos-u55-64", 0, 64, 1, (1, 1, 8), 16),
    Configuration("ethos-u55-128", 0, 128, 1, (1, 2, 8), 24),
    Configuration("ethos-u55-256", 0, 256, 1, (2, 2, 8), 48),
    Configuration("ethos-u65-256", 1, 256, 1, (2, 2, 8), 48),
    Configuration("ethos-u65-512", 1, 512, 2, (2, 2, 8), 48),
)
CONFIGURATIONS = {configuration.name: configuration for configuration in _ALL}


def configuration_of(word: int) -> Configuration:
    """The configuration that a command stream was made for, from the word in its header.

    Bits 0-3: log2 of the MACs a cycle; 8-15: KiB of internal memory; 28-31: the product. Fault EC4560.
    """
    macs, kilobytes, product = 1 << (word & 0xF), word >> 8 & 0xFF, word >> 28
    for known in _ALL:
        found = (known.macs, known.cores * known.shared_bytes >> 10, known.product)
        if found == (macs, kilobytes, product):
            return known
    why = f"product {product} with {macs} MACs and {kilobytes} KiB is none of {', '.join(CONFIGURATIONS)}"
    raise Fault("EC4560", "the command stream is for another NPU", why)
