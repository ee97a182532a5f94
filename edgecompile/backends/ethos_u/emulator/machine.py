"""What an operation works on: the NPU, its memory, its registers, and weights decoded before."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgecompile.backends.ethos_u.emulator.configuration import Configuration
from edgecompile.backends.ethos_u.emulator.layout import FeatureMap, feature_map
from edgecompile.backends.ethos_u.emulator.memory import Access, Array, Memory, Region
from edgecompile.backends.ethos_u.emulator.state import Registers
from edgecompile.backends.ethos_u.emulator.weights import Order

# The region number of the internal memory, which only copies name (with a bit of their own).
INTERNAL = -1


@dataclass
class Machine:
    """The state of the NPU while a command stream is executed."""

    configuration: Configuration
    memory: Memory
    registers: Registers = field(default_factory=Registers)
    decoded: dict[tuple[bytes, Order], Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forget_tables()

    def feature_map(self, name: str, shape: tuple[int, int, int]) -> FeatureMap:
        """The feature map IFM, IFM2 or OFM with that height, width and depth."""
        return feature_map(self.registers, name, shape, self.configuration.address_bits)

    def output(self) -> FeatureMap:
        """The feature map that the operation writes."""
        sizes = (self.registers[f"OFM_{axis}_M1"] + 1 for axis in ("HEIGHT", "WIDTH", "DEPTH"))
        height, width, depth = sizes
        return self.feature_map("OFM", (height, width, depth))

    def forget_tables(self) -> None:
        """Empty the internal memory: what lookup tables were there is gone."""
        size = self.configuration.shared_bytes
        self.memory.regions[INTERNAL] = Region.empty(size)
        self.memory.accesses.append(Access(INTERNAL, 0, size, is_write=True))
