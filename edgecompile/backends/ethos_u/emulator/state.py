"""The registers as commands leave them, and the fields in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault

_WIDTHS = (1, 2, 4)


class Registers(dict[str, int]):
    """The value of each register that was set. Reading another one is Fault EC4562."""

    def __missing__(self, name: str) -> int:
        raise Fault("EC4562", "a register is used before it is set", f"nothing sets NPU_SET_{name}")

    def field(self, name: str, low: int, bits: int) -> int:
        """`bits` bits of a register, from bit `low` on."""
        return self[name] >> low & (1 << bits) - 1

    def signed(self, name: str, bits: int = 16) -> int:
        """The low `bits` bits of a register as a signed number."""
        value = self.field(name, 0, bits)
        return value - (1 << bits) if value >> bits - 1 else value

    def choice(self, name: str, low: int, bits: int, of: Mapping[int, str]) -> str:
        """The meaning of a field. Fault EC4561 when it has none."""
        value = self.field(name, low, bits)
        if value not in of:
            raise Fault("EC4561", "a command is unknown", f"{value} means nothing in NPU_SET_{name}")
        return of[value]

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type of the elements of the feature map `name` (IFM, IFM2, OFM). Fault EC4561."""
        register = f"{name}_PRECISION"
        is_signed, width = self.field(register, 0, 1), self.field(register, 1 if name == "OFM" else 2, 2)
        if width >= len(_WIDTHS):
            raise Fault(
                "EC4561", "a command is unknown", f"width {width} means nothing in NPU_SET_{register}"
            )
        return np.dtype(f"<{'i' if is_signed else 'u'}{_WIDTHS[width]}")

    def zero_point(self, name: str) -> int:
        """The zero point of a feature map; that of unsigned 16-bit elements is unsigned."""
        register = f"{name}_ZERO_POINT"
        return self[register] if self.dtype(name) == np.uint16 else self.signed(register)
