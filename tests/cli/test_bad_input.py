"""What a user may get wrong: each mistake has an exit code, a place and a fix, and leaves no file."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecompile.cli.main import main
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]

SCORES = """
def nothing(network): return float("nan")
def stops(network): raise SystemExit(3)
def misshapen(network):
    import numpy
    return float(network(numpy.zeros((2, 3, 4), numpy.float32)).mean())
value = 3
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, data, an artifact, and what is wrong with others of these."""
    folder = tmp_path_factory.mktemp("bad")
    network = save(small_cnn(), folder / "cnn.onnx")
    assert main(["compile", str(network), "-t", "host", "-o", str(folder / "cnn.edge")]) == 0
    data = np.random.default_rng(0).standard_normal((5, 3, 12, 12)).astype(np.float32)
    np.savez(folder / "data.npz", x=data)
    np.savez(folder / "narrow.npz", x=data[..., :7])
    np.savez(folder / "unnamed.npz", y=data)
    np.savez(folder / "none.npz", x=data[:0])
    np.savez(folder / "nan.npz", x=np.where(data > 2, np.nan, data))
    (folder / "scores_of_bad_input.py").write_text(SCORES)
    (folder / "text").write_text("hello\n")
    shutil.copy(folder / "text", folder / "text.onnx")
    shutil.copy(folder / "text", folder / "text.npz")
    (folder / "empty.onnx").touch()
    (folder / "cut.onnx").write_bytes(network.read_bytes()[:-1000])
    (folder / "folder").mkdir()
    (folder / "letters").mkdir()
    (folder / "letters" / "precious.txt").touch()
    (folder / "newer.toml").write_text('schema = 9\nbase = "cortex-m4"\nname = "x"\n')
    (folder / "broken.toml").write_text("schema = = 1\n")
    for name, text in (
        ("cut.edge", '{"schema_version": 1, '),
        ("list.edge", "[]"),
        ("newer.edge", '{"schema_version": 99}'),
        ("partial.edge", '{"schema_version": 1, "inputs": []}'),
    ):
        (folder / name).mkdir()
        (folder / name / "manifest.json").write_text(text)
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return made


COMPILE = "compile cnn.onnx -t host -o new.edge"
QUANTIZE = "quantize cnn.onnx -o new.onnx"
FULL = f"{QUANTIZE} --calibrate data.npz"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("compil cnn.onnx", 2, "EC2000] No such command 'compil'. Fix: did you mean 'compile'?"),
        ("compile cnn.onnx --targett host", 2, "No such option '--targett'. Fix: did you mean '--target'?"),
        (
            "compile missing.onnx -t host",
            3,
            "cannot read 'missing.onnx': No such file or directory. Fix: check",
        ),
        (
            "compile folder -t host",
            2,
            "EC2121] cannot tell what 'folder' is: it is neither a file nor module",
        ),
        ("compile empty.onnx -t host", 3, "EC3102] 'empty.onnx' is empty"),
        ("compile text.onnx -t host", 3, "EC3105] 'text.onnx' is not an ONNX model"),
        (
            "compile cut.onnx -t host",
            3,
            "EC3105] 'cut.onnx' is not an ONNX model: it is truncated or damaged",
        ),
        ("compile cnn.edge -t host", 2, "EC2121] cannot tell what 'cnn.edge' is: it is an artifact"),
        ("compile nowhere:net -t host", 3, "EC3152] 'nowhere:net' raised an exception"),
        ("compile cnn.onnx -t nothing-like-it", 2, "EC2001] unknown target 'nothing-like-it' at '--target'"),
        (
            "compile cnn.onnx -t missing.toml",
            3,
            "cannot read the target file at 'missing.toml': No such file",
        ),
        ("compile cnn.onnx -t newer.toml", 3, "not a target file at 'newer.toml': schema 9 is unknown here"),
        (
            "compile cnn.onnx -t broken.toml",
            3,
            "EC3020] cannot read the target file at 'broken.toml': Invalid",
        ),
        ("compile cnn.onnx -t host -o text", 3, "EC3031] the output folder is a file at"),
        ("compile cnn.onnx -t host -o letters", 3, "EC3031] the output folder is not an artifact at"),
        (f"{COMPILE} --dump-passes text", 3, "EC3030] cannot write the folder at 'text': File exists"),
        (f"{COMPILE} --device local", 2, "EC2515] nothing would be executed there at '--device'"),
        (f"{COMPILE} --input y:1", 2, "EC2111] the network has no input 'y' at '--input'. Fix: known: x"),
        (f"{COMPILE} --constant x=1,2", 2, "EC2112] the value for input 'x' does not fit at '--constant'"),
        (f"{COMPILE} --golden missing.npz", 3, "EC3301] cannot read the data at 'missing.npz': No such file"),
        (f"{COMPILE} --golden narrow.npz", 3, "EC3302] the data have the wrong shape at 'narrow.npz'"),
        (f"{COMPILE} --golden none.npz", 3, "EC3050] there are no golden inputs at 'none.npz'"),
        (f"{COMPILE} --golden nan.npz", 3, "EC3303] the data contain NaN or infinity at 'nan.npz'"),
        (f"{COMPILE} --max-flash lots", 2, "EC2003] bad option value at '--max-flash': 'lots' is not a size"),
        (QUANTIZE, 2, "EC2324] --calibrate is missing"),
        (f"{QUANTIZE} --calibrate text.npz", 3, "cannot read the data at 'text.npz': it is no .npz file"),
        (f"{QUANTIZE} --calibrate unnamed.npz", 3, "EC3304] an input of the network has no data at"),
        (f"{QUANTIZE} --calibrate folder", 3, "EC3305] there are no calibration samples at 'folder'"),
        (f"{QUANTIZE} --calibrate nan.npz", 3, "EC3303] the data contain NaN or infinity at 'nan.npz'"),
        (f"{QUANTIZE} --calibrate nowhere:f", 3, "EC3307] cannot import 'nowhere' at 'nowhere:f'"),
        (f"{FULL} --evaluate scores_of_bad_input", 3, "EC3307] 'scores_of_bad_input' names no function"),
        (f"{FULL} --evaluate scores_of_bad_input:value", 3, "is no function: its type is int"),
        (f"{FULL} --evaluate scores_of_bad_input:nothing", 3, "gives no score: it returned nan"),
        (f"{FULL} --evaluate scores_of_bad_input:stops", 3, "raised an exception: SystemExit: 3"),
        (f"{FULL} --evaluate scores_of_bad_input:misshapen", 3, "the array is (2, 3, 4)"),
        (
            "quantize cnn.onnx --calibrate data.npz -o folder",
            3,
            "cannot write the result at 'folder': it is a",
        ),
        (f"{FULL} --report none/r.json", 3, "EC3032] cannot write the result at 'none/r.json': No such file"),
        ("prune cnn.onnx --keep-macs 0.5 -o folder", 3, "EC3032] cannot write the result at 'folder'"),
        ("tune cnn.onnx -t hexagon-v75", 2, "EC2514] hexagon-v75 has no kernels to tune at '--target'"),
        ("verify missing.edge", 3, "EC3040] not an edgecompile artifact at 'missing.edge': No such file"),
        ("verify folder", 3, "EC3040] not an edgecompile artifact at 'folder': it has no manifest.json"),
        ("verify cnn.onnx", 3, "EC3560] cannot read the bundle at 'cnn.onnx': it is no bundle"),
        ("report cut.edge", 3, "EC3040] the artifact's manifest cannot be read at 'cut.edge/manifest.json'"),
        (
            "report list.edge",
            3,
            "EC3040] the artifact's manifest cannot be read at 'list.edge/manifest.json'",
        ),
        ("bench newer.edge", 3, "it has schema_version 99, this edgecompile reads 1. Fix: compile again"),
        ("bench partial.edge", 3, "EC3040] the artifact's manifest cannot be read"),
        ("bench cnn.edge --device command:missing.toml", 3, "cannot read the device file at 'missing.toml'"),
        ("devices probe -t apple-m4", 2, "EC2026] apple-m4 has no programs at '--target'"),
        ("package cnn.edge -f cmake -o text", 3, "EC3031] the output folder is a file at"),
        ("package cnn.edge -f bundle -o text", 3, "EC3030] cannot write the folder at 'text': File exists"),
        ("package cnn.edge -f bundle -o new --key text", 3, "it is no PEM file with a private key"),
        ("package cnn.edge -f bundle -o new --key-command false", 3, "failed at 'false': exit status 1"),
        ("package --check letters", 3, "EC3563] no package of edgecompile at 'letters'"),
        ("fleet scheduler missing.toml", 3, "cannot read the fleet file at 'missing.toml': No such file"),
        ("logs show missing", 3, "EC3504] there are no records at 'missing': it does not exist"),
        ("logs show text", 3, "EC3504] there are no records at 'text': none of its 1 lines is one"),
        (f"{COMPILE} --records text", 3, "EC3504] there are no records at 'text'"),
        ("demo -o text", 3, "EC3030] cannot write the folder at 'text': File exists"),
    ],
)
def test_a_mistake(here: Path, words: str, status: int, message: str, capsys: Capture) -> None:
    before = sorted(here.iterdir())
    assert main(shlex.split(words)) == status
    printed = capsys.readouterr().err
    assert message in printed
    assert " Fix: " in printed
    assert "Errno" not in printed
    assert [path for path in here.iterdir() if path not in before and path.name != "__pycache__"] == []


def test_what_is_quantized_already_is_not_quantized_again(
    here: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = str(tmp_path / "q.onnx")
    assert main(["quantize", "cnn.onnx", "--calibrate", "data.npz", "-o", first]) == 0
    assert main(["quantize", first, "--calibrate", "data.npz", "-o", str(tmp_path / "qq.onnx")]) == 4
    assert "EC4033] the network is quantized already at" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["q.onnx"]


def test_golden_inputs_may_lack_the_batch_axis(here: Path, tmp_path: Path) -> None:
    assert (
        main(["compile", "cnn.onnx", "-t", "host", "--golden", "data.npz", "-o", f"{tmp_path}/a.edge"]) == 0
    )
    with np.load(tmp_path / "a.edge" / "golden.npz") as golden:
        assert golden["in_0"].shape == (5, 1, 3, 12, 12)


def test_an_artifact_that_cannot_be_written_is_verified(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    artifact = shutil.copytree(here / "cnn.edge", tmp_path / "cnn.edge")

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgecompile.core.artifact.write_atomically", refuse)
    assert main(["verify", str(artifact)]) == 0
    assert "verification.json: Permission denied" in capsys.readouterr().err


def test_a_damaged_record_of_a_verification_is_none(here: Path, tmp_path: Path, capsys: Capture) -> None:
    artifact = shutil.copytree(here / "cnn.edge", tmp_path / "cnn.edge")
    (artifact / "verification.json").write_text('{"level": ')
    assert main(["report", str(artifact)]) == 0
    assert "verified no (run `edgecompile verify`)" in capsys.readouterr().out


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_or_forbidden_disk_is_no_bug(
    number: int, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere")

    monkeypatch.setattr("edgecompile.packaging.formats.write_files", fail)
    assert main(["package", "cnn.edge", "-f", "cmake", "-o", "new", "--json"]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["where"]) == ("EC3034", "/somewhere")
    assert problem["why"] == os.strerror(number)
    assert not (here / "new").exists()
