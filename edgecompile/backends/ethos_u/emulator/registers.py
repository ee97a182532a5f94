"""The commands of an Ethos-U55 or Ethos-U65 command stream, by number.

A command is one little-endian word (opcode in bits 0-9, parameter in bits 16-31) or, with bit 14 set, two:
the second word is the low half of a number whose high half is the parameter. Names, numbers and widths are
those of Arm's compiler Vela (`ethos_u55_regs.py` and the interface header of its `regor`).
"""

from __future__ import annotations

# Bits 0-9 of a word: what to start or to wait for.
OPERATIONS = {
    0x000: "STOP",
    0x001: "IRQ",
    0x002: "CONV",
    0x003: "DEPTHWISE",
    0x005: "POOL",
    0x006: "ELEMENTWISE",
    0x010: "DMA_START",
    0x011: "DMA_WAIT",
    0x012: "KERNEL_WAIT",
    0x013: "PMU_MASK",
}

# Registers that one word sets, and which bits of the parameter mean something.
SHORT_REGISTERS = {
    0x100: ("IFM_PAD_TOP", 0x007F),
    0x101: ("IFM_PAD_LEFT", 0x007F),
    0x102: ("IFM_PAD_RIGHT", 0x00FF),
    0x103: ("IFM_PAD_BOTTOM", 0x00FF),
    0x104: ("IFM_DEPTH_M1", 0xFFFF),
    0x105: ("IFM_PRECISION", 0xC3CD),
    0x107: ("IFM_UPSCALE", 0x0003),
    0x109: ("IFM_ZERO_POINT", 0xFFFF),
    0x10A: ("IFM_WIDTH0_M1", 0xFFFF),
    0x10B: ("IFM_HEIGHT0_M1", 0xFFFF),
    0x10C: ("IFM_HEIGHT1_M1", 0xFFFF),
    0x10D: ("IFM_IB_END", 0x003F),
    0x10F: ("IFM_REGION", 0x0007),
    0x111: ("OFM_WIDTH_M1", 0xFFFF),
    0x112: ("OFM_HEIGHT_M1", 0xFFFF),
    0x113: ("OFM_DEPTH_M1", 0xFFFF),
    0x114: ("OFM_PRECISION", 0xC1C7),
    0x115: ("OFM_BLK_WIDTH_M1", 0x003F),
    0x116: ("OFM_BLK_HEIGHT_M1", 0x001F),
    0x117: ("OFM_BLK_DEPTH_M1", 0x007F),
    0x118: ("OFM_ZERO_POINT", 0xFFFF),
    0x11A: ("OFM_WIDTH0_M1", 0xFFFF),
    0x11B: ("OFM_HEIGHT0_M1", 0xFFFF),
    0x11C: ("OFM_HEIGHT1_M1", 0xFFFF),
    0x11F: ("OFM_REGION", 0x0007),
    0x120: ("KERNEL_WIDTH_M1", 0xFFFF),
    0x121: ("KERNEL_HEIGHT_M1", 0xFFFF),
    0x122: ("KERNEL_STRIDE", 0x027F),
    0x123: ("PARALLEL_MODE", 0x0001),
    0x124: ("ACC_FORMAT", 0x0003),
    0x125: ("ACTIVATION", 0x701F),
    0x126: ("ACTIVATION_MIN", 0xFFFF),
    0x127: ("ACTIVATION_MAX", 0xFFFF),
    0x128: ("WEIGHT_REGION", 0x0007),
    0x129: ("SCALE_REGION", 0x0007),
    0x12D: ("AB_START", 0x003F),
    0x12F: ("BLOCKDEP", 0x0003),
    0x130: ("DMA0_SRC_REGION", 0x0707),
    0x131: ("DMA0_DST_REGION", 0x0707),
    0x132: ("DMA0_SIZE0", 0xFFFF),
    0x133: ("DMA0_SIZE1", 0xFFFF),
    0x180: ("IFM2_BROADCAST", 0x00C7),
    0x181: ("IFM2_SCALAR", 0xFFFF),
    0x185: ("IFM2_PRECISION", 0x00CD),
    0x189: ("IFM2_ZERO_POINT", 0xFFFF),
    0x18A: ("IFM2_WIDTH0_M1", 0xFFFF),
    0x18B: ("IFM2_HEIGHT0_M1", 0xFFFF),
    0x18C: ("IFM2_HEIGHT1_M1", 0xFFFF),
    0x18D: ("IFM2_IB_START", 0x003F),
    0x18F: ("IFM2_REGION", 0x0007),
}

_ADDRESS, _LENGTH, _SCALE = 0x00FF, 0x0000, 0x003F

# Registers that two words set, and which bits of the parameter (the high half of the number) mean something.
LONG_REGISTERS = {
    0x000: ("IFM_BASE0", _ADDRESS),
    0x001: ("IFM_BASE1", _ADDRESS),
    0x002: ("IFM_BASE2", _ADDRESS),
    0x003: ("IFM_BASE3", _ADDRESS),
    0x004: ("IFM_STRIDE_X", _ADDRESS),
    0x005: ("IFM_STRIDE_Y", _ADDRESS),
    0x006: ("IFM_STRIDE_C", _ADDRESS),
    0x010: ("OFM_BASE0", _ADDRESS),
    0x011: ("OFM_BASE1", _ADDRESS),
    0x012: ("OFM_BASE2", _ADDRESS),
    0x013: ("OFM_BASE3", _ADDRESS),
    0x014: ("OFM_STRIDE_X", _ADDRESS),
    0x015: ("OFM_STRIDE_Y", _ADDRESS),
    0x016: ("OFM_STRIDE_C", _ADDRESS),
    0x020: ("WEIGHT_BASE", _ADDRESS),
    0x021: ("WEIGHT_LENGTH", _LENGTH),
    0x022: ("SCALE_BASE", _ADDRESS),
    0x023: ("SCALE_LENGTH", _LENGTH),
    0x024: ("OFM_SCALE", _SCALE),
    0x025: ("OPA_SCALE", _SCALE),
    0x026: ("OPB_SCALE", _LENGTH),
    0x030: ("DMA0_SRC", _ADDRESS),
    0x031: ("DMA0_DST", _ADDRESS),
    0x032: ("DMA0_LEN", _ADDRESS),
    0x033: ("DMA0_SKIP0", _ADDRESS),
    0x034: ("DMA0_SKIP1", _ADDRESS),
    0x080: ("IFM2_BASE0", _ADDRESS),
    0x081: ("IFM2_BASE1", _ADDRESS),
    0x082: ("IFM2_BASE2", _ADDRESS),
    0x083: ("IFM2_BASE3", _ADDRESS),
    0x084: ("IFM2_STRIDE_X", _ADDRESS),
    0x085: ("IFM2_STRIDE_Y", _ADDRESS),
    0x086: ("IFM2_STRIDE_C", _ADDRESS),
    0x090: ("WEIGHT1_BASE", _ADDRESS),
    0x091: ("WEIGHT1_LENGTH", _LENGTH),
    0x092: ("SCALE1_BASE", _ADDRESS),
    0x093: ("SCALE1_LENGTH", _LENGTH),
}

POOLINGS = ("MAX", "AVERAGE", "REDUCE_SUM")
ELEMENTWISE = ("MUL", "ADD", "SUB", "MIN", "MAX", "LRELU", "ABS", "CLZ", "SHR", "SHL")
UNARY = ("LRELU", "ABS", "CLZ")
