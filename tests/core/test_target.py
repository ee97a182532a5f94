"""Target files: what ships is consistent, and a mistake in a file is named with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgecompile.core.target import (
    Target,
    find_target,
    load_target_file,
    load_targets,
    parse_target,
    target_json,
    targets_dir,
)
from edgecompile.errors import InputError, UsageError

SHIPPED = list(load_targets().values())
EXPECTED = {
    "host",
    "x86-64",
    "x86-64-v3",
    "cortex-a7",
    "cortex-a53",
    "cortex-a72",
    "cortex-a76",
    "cortex-m4",
    "cortex-m7",
    "cortex-m55",
}


def test_every_file_is_loaded_and_named_after_its_target() -> None:
    assert set(load_targets()) >= EXPECTED
    assert {path.stem for path in targets_dir().glob("*.toml")} == set(load_targets())


def test_names_and_aliases_are_unique() -> None:
    names = [name for target in SHIPPED for name in (target.name, *target.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("target", SHIPPED, ids=lambda target: target.name)
def test_shipped_target_is_consistent(target: Target) -> None:
    isa, spec = target.isa, target.toolchain
    assert isa.pointer_bits == (64 if isa.triple.startswith(("x86_64", "aarch64", "arm64")) else 32)
    assert isa.vector_bits % 64 == 0
    assert target.codegen.align % 8 == 0
    assert target.codegen.align * 8 >= isa.vector_bits
    # Core ML takes a model, no code: there is nothing to compile in C.
    assert "zig" in spec.candidates or target.backend == "coreml"
    assert bool(spec.zig_target) == bool(spec.zig_cpu) == bool(spec.candidates)
    assert spec.firmware == isa.triple.startswith("thumb")
    if target.device == "qemu":
        assert target.emulator is not None
    if spec.firmware:
        assert target.emulator is not None
        assert target.emulator.mode == "system"
        assert target.memory.flash_bytes is not None
        assert target.memory.ram_bytes is not None
        # Whatever fits the device has to fit the emulated board, with the runner's stack and buffers.
        assert target.emulator.flash_bytes > target.memory.flash_bytes
        assert target.emulator.ram_bytes > target.memory.ram_bytes


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("raspberry-pi-4", "cortex-a72"),
        ("raspberry-pi-5", "cortex-a76"),
        ("raspberry-pi-2", "cortex-a7"),
        ("nucleo-l4r5zi", "cortex-m4"),
        ("nucleo-h743zi", "cortex-m7"),
    ],
)
def test_a_board_is_an_alias(alias: str, name: str) -> None:
    assert find_target(alias).name == name


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"EC2001.*unknown target 'cortex-m5'.*did you mean 'cortex-m55'\?"):
        find_target("cortex-m5")


def test_a_path_is_read_directly(tmp_path: Path) -> None:
    text = (targets_dir() / "cortex-m4.toml").read_text().replace('"cortex-m4"', '"my-board"', 1)
    path = tmp_path / "board.toml"
    path.write_text(text)
    assert find_target(str(path)).name == "my-board"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("schema = 1", "schema = 2", "not a target file"),
        ('device = "qemu"', "", "missing field 'device'"),
        ("pointer_bits = 32", "pointer_bits = true", "isa: pointer_bits.*expected int"),
        ("pointer_bits = 32", "pointer_bit = 32", "unknown field 'pointer_bit'.*'pointer_bits'"),
        ('float_abi = "hard"', 'float_abi = "firm"', "bad value 'firm'.*float_abi"),
        ("flags = [", "flags = [1, ", "toolchain: flags.*expected str"),
        ("[memory]", "[memory", "cannot read the target file"),
        ("[isa]", "[[isa]]", "expected a table"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = (targets_dir() / "cortex-m4.toml").read_text()
    assert before in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(InputError) as raised:
        load_target_file(path)
    assert str(raised.value).startswith("error[EC3020]")
    assert "board.toml" in str(raised.value)
    assert re.search(message, str(raised.value))


def test_a_file_may_say_only_what_differs_from_another(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('schema = 1\nbase = "cortex-m4"\nname = "board"\n[memory]\nram_bytes = 65536\n')
    board, base = find_target(str(path)), find_target("cortex-m4")
    assert board.name == "board"
    assert board.aliases == ()
    assert board.memory.ram_bytes == 65536
    assert board.memory.flash_bytes == base.memory.flash_bytes
    assert board.isa == base.isa


@pytest.mark.parametrize("target", SHIPPED, ids=lambda target: target.name)
def test_a_target_survives_being_written(target: Target) -> None:
    assert parse_target(target_json(target), "target.json") == target


def test_a_damaged_target_is_named_with_its_place() -> None:
    text = target_json(find_target("cortex-m4"))
    with pytest.raises(InputError, match=r"EC3020.*cannot read the target.*net\.edge"):
        parse_target(text[:-4], "net.edge")
    with pytest.raises(InputError, match=r"EC3020.*unknown field 'aligns'.*net\.edge: codegen"):
        parse_target(text.replace('"align"', '"aligns"'), "net.edge")


def test_an_unknown_base_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('schema = 1\nbase = "cortex-m5"\nname = "board"\n')
    with pytest.raises(InputError, match=r"EC3020.*no target 'cortex-m5'.*board.toml.*'cortex-m55'"):
        find_target(str(path))


def test_a_missing_file_is_a_clean_error() -> None:
    with pytest.raises(InputError, match=r"EC3020.*no-such-board\.toml"):
        find_target("no-such-board.toml")
