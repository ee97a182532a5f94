"""What a device is, read from one TOML file in `targets/`.

The fields are data that other layers interpret: `isa` drives code generation, `toolchain` the linking of
executables, `emulator` how binaries are executed without the board, `memory` the budget check.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from edgecompile.core.data import data_folder
from edgecompile.core.tables import from_table, read_toml
from edgecompile.errors import InputError, Problem, UsageError, did_you_mean

SCHEMA = 1


@dataclass(frozen=True)
class Isa:
    """The instruction set, in LLVM's spelling; cpu "native" is the CPU of this machine.

    `vector_bits` is 0 without vectors of floats. `registers` hold vectors (floats where there are none).
    `int8` names the instructions that 8-bit kernels are made of ("" for none special): see
    kernels/intrinsics. `halves`: there are instructions that widen float16. `l1_bytes` and `l2_bytes` are the
    data caches of one core (0 without). `intrinsics` is False where kernels are emitted as portable C.
    `threads` may share a kernel's work. `multiprocessors` are those of a GPU; a CPU has none.
    """

    triple: str
    cpu: str
    pointer_bits: int
    vector_bits: int = 0
    registers: int = 16
    features: tuple[str, ...] = ()
    float_abi: Literal["hard", "soft", ""] = ""
    int8: Literal["", "pmaddwd", "vnni", "smull", "sdot", "smmla", "smlad", "mve"] = ""
    halves: bool = False
    l1_bytes: int = 32768
    l2_bytes: int = 262144
    intrinsics: bool = True
    threads: int = 1
    multiprocessors: int = 0

    @property
    def widens_halves(self) -> bool:
        """Whether kernels can leave it to the compiler to widen float16."""
        return self.halves and self.intrinsics


@dataclass(frozen=True)
class Codegen:
    """How kernels are generated: `route` LLVM object or C source, inner `layout`, arena `align` in bytes.

    Of quantized networks: the `rounding` of a product (core/integer.py) and the type of `activations`.
    """

    route: Literal["lib", "c"] = "lib"
    layout: Literal["nchw", "nhwc"] = "nhwc"
    rounding: Literal["single", "double", "float"] = "single"
    activations: Literal["int8", "uint8"] = "int8"
    align: int = 16


@dataclass(frozen=True)
class Memory:
    """Budget in bytes; None means no limit worth checking (Linux class devices)."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None


@dataclass(frozen=True)
class ToolchainSpec:
    """Candidates in order of preference, each "zig", "arm-none-eabi-gcc", or the name of a gcc/clang on PATH.

    `zig_target`/`zig_cpu` are what `zig cc -target/-mcpu` takes; `flags` go to gcc-style compilers.
    `firmware` is True where executables are bare metal, `dynamic` where they load libraries while they run.
    """

    candidates: tuple[str, ...]
    zig_target: str = ""
    zig_cpu: str = ""
    flags: tuple[str, ...] = ()
    firmware: bool = False
    dynamic: bool = False


@dataclass(frozen=True)
class Emulator:
    """A qemu program: user mode (`program`, `cpu`) or system mode (`machine`, and its memories in bytes)."""

    program: str
    mode: Literal["user", "system"]
    install: str
    cpu: str = ""
    machine: str = ""
    flash_origin: int = 0
    flash_bytes: int = 0
    ram_origin: int = 0
    ram_bytes: int = 0


@dataclass(frozen=True)
class EthosU:
    """An Arm Ethos-U: its `architecture`, multiply-accumulates a cycle of one core, and how memory is used.

    `system` and `memory_mode` are names in the configuration file that comes with Vela: clock and bandwidths,
    and which memory holds weights, tensors and the buffer for what is in use.
    """

    architecture: Literal["EthosU55", "EthosU65", "EthosU85"]
    macs: int
    system: str
    memory_mode: str
    cores: int = 1


@dataclass(frozen=True)
class Cuda:
    """An NVIDIA GPU: its `architecture` as compilers call it ("sm_87"), and how many `multiprocessors`."""

    architecture: str
    multiprocessors: int


@dataclass(frozen=True)
class Hexagon:
    """A Qualcomm Hexagon NPU: the version of its `architecture`, and Qualcomm's number of its chip."""

    architecture: Literal[68, 69, 73, 75, 79, 81]
    soc: int


@dataclass(frozen=True)
class CoreMl:
    """What a Core ML model asks for: the first system that it runs on, and which units shall compute it.

    `deployment` is a version of iOS; macOS, tvOS and watchOS of the same year will do as well.
    `compute_units`, in the words of MLModelConfiguration, is a hint: the device decides where a layer runs.
    """

    deployment: Literal["iOS17", "iOS18"] = "iOS17"
    compute_units: Literal["all", "cpuAndNeuralEngine", "cpuAndGPU", "cpuOnly"] = "cpuAndNeuralEngine"


@dataclass(frozen=True)
class Target:
    """One device. `aliases` are other names it answers to, such as a board's.

    `backend` names what makes its artifacts (backends/find.py); unless that is "cpu" the other fields are
    about the CPU beside the accelerator. `base` is the shipped target that says what its own file does not.
    """

    name: str
    description: str
    isa: Isa
    codegen: Codegen
    memory: Memory
    toolchain: ToolchainSpec
    device: str
    emulator: Emulator | None = None
    aliases: tuple[str, ...] = ()
    backend: str = "cpu"
    base: str | None = None
    ethos_u: EthosU | None = None
    coreml: CoreMl | None = None
    hexagon: Hexagon | None = None
    cuda: Cuda | None = None


def targets_dir() -> Path:
    """The folder of target files: packaged data, or the repository's `targets/` in an editable install."""
    return data_folder("targets")


@cache
def load_targets() -> dict[str, Target]:
    """All known targets by name; aliases are not keys."""
    files = sorted(targets_dir().glob("*.toml"))
    return {target.name: target for target in map(load_target_file, files)}


def find_target(name: str) -> Target:
    """The target called `name` or having it as an alias; a path to a .toml file is read directly.

    Raises UsageError (EC2001) with the nearest known name.
    """
    if name.endswith(".toml"):
        return load_target_file(Path(name))
    targets = load_targets()
    by_alias = {alias: target for target in targets.values() for alias in target.aliases}
    found = targets.get(name) or by_alias.get(name)
    if found is None:
        hint = did_you_mean(name, [*targets, *by_alias], "see `edgecompile targets list`")
        raise UsageError(Problem("EC2001", f"unknown target '{name}'", "--target", "", hint))
    return found


def load_target_file(path: Path) -> Target:
    """Read and check one target file. Raises InputError (EC3020) naming the file and the field.

    With `base = "NAME"` it says only what differs from the shipped target of that name; aliases are its own.
    """
    return from_table(Target, _read_table(path), str(path))


def target_json(target: Target) -> str:
    """`target` as text that `parse_target` reads; fields without a value are left out."""

    def present(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if value is not None}

    return json.dumps(dataclasses.asdict(target, dict_factory=present), indent=2, sort_keys=True) + "\n"


def parse_target(text: str, where: str) -> Target:
    """The inverse of `target_json`. Raises InputError (EC3020) naming `where` and the field."""
    try:
        table = json.loads(text)
    except ValueError as error:
        raise InputError(Problem("EC3020", "cannot read the target", where, str(error))) from error
    return from_table(Target, table, where)


def _read_table(path: Path) -> dict[str, Any]:
    table = read_toml(path, "target file")
    schema = table.pop("schema", None)
    if schema != SCHEMA:
        why = "it has no schema" if schema is None else f"schema {schema} is unknown here"
        fix = f"begin it with 'schema = {SCHEMA}'"
        raise InputError(Problem("EC3020", "not a target file", str(path), why, fix))
    base = table.pop("base", None)
    if base is None:
        return table
    known = sorted(file.stem for file in targets_dir().glob("*.toml"))
    if base not in known or base == path.stem:
        hint = did_you_mean(str(base), known)
        raise InputError(Problem("EC3020", f"there is no target '{base}'", f"{path}: base", "", hint))
    inherited = _read_table(targets_dir() / f"{base}.toml")
    inherited.pop("aliases", None)
    return _merge(inherited, table) | {"base": base}


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `own` says instead, table by table."""
    both = {
        key: _merge(base[key], own[key])
        for key in base.keys() & own.keys()
        if isinstance(base[key], dict) and isinstance(own[key], dict)
    }
    return base | own | both
