"""PyTorch modules come in with the names of their submodules and match torch; errors name the user's line."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import EdgeCompileError, InputError, MissingToolError, UnsupportedError, UsageError
from edgecompile.frontend.load import import_model, import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.frontend.torch import load_torch
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.prove import relative_error, run_model

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'edgecompile[torch]')")
pytestmark = pytest.mark.filterwarnings("ignore")

NETWORKS = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(self.stem(image).mean((2, 3)))

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(5, 6, batch_first=True)

    def forward(self, x, h, c):
        y, (h, c) = self.cell(x, (h, c))
        return y[:, -1], h, c

class Branchy(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x

class Exotic(nn.Module):
    def forward(self, x):
        return torch.linalg.eigh(x)[0]

class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, ids, scale):
        return self.table(ids) * scale

def small():
    torch.manual_seed(0)
    return Small(), torch.randn(1, 3, 8, 8)

def recurrent():
    torch.manual_seed(0)
    return Recurrent().eval(), (torch.randn(1, 7, 5), torch.zeros(1, 1, 6), torch.zeros(1, 1, 6))

def embedding():
    torch.manual_seed(0)
    return Embedding(), {"ids": torch.tensor([[1, 2, 9]]), "scale": torch.tensor(2.0)}

def branchy():
    return Branchy(), (torch.ones(3),)

def exotic():
    return Exotic(), (torch.eye(3),)

def broken():
    raise KeyError("weights.pth")

def wrong():
    return Small()
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of networks that can be imported from the current folder."""
    name = f"networks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def canonical(imported: Model) -> Model:
    return Pipeline(canonicalize_passes()).run(imported)[0]


def test_module_matches_torch(networks: str) -> None:
    result = canonical(load_torch(f"{networks}:small"))
    module, image = __import__(networks).small()
    with torch.no_grad():
        expected = module.eval()(image).numpy()
    (actual,) = run_model(result, {"image": image.numpy()})
    assert relative_error(expected, actual) < 1e-5
    assert result.notes == (f"'{networks}:small' was in training mode; exported in evaluation mode",)


def test_nodes_carry_module_path_and_source_line(networks: str) -> None:
    nodes = list(load_torch(f"{networks}:small").graph.graph)
    assert [node.name for node in nodes if node.op_type == "Gemm"] == ["head/Gemm"]
    assert all((node.name or "").startswith("stem.") for node in nodes if node.op_type in ("Conv", "Relu"))
    line = 1 + NETWORKS.splitlines().index("        return self.head(self.stem(image).mean((2, 3)))")
    assert {node.metadata_props["edgecompile.source"] for node in nodes} == {f"{networks}.py:{line}"}


def test_state_goes_in_and_out(networks: str) -> None:
    result = canonical(load_torch(f"{networks}:recurrent"))
    module, inputs = __import__(networks).recurrent()
    with torch.no_grad():
        expected = module(*inputs)
    arrays = {info.name: value.numpy() for info, value in zip(result.inputs, inputs, strict=True)}
    actual = run_model(result, arrays)
    assert [info.name for info in result.inputs] == ["x", "h", "c"]
    assert max(relative_error(a.numpy(), b) for a, b in zip(expected, actual, strict=True)) < 1e-5


def test_inputs_by_name(networks: str) -> None:
    imported = load_torch(f"{networks}:embedding")
    assert [(info.name, info.dtype) for info in imported.inputs] == [("ids", "int64"), ("scale", "float32")]


def test_import_is_repeatable_and_leaves_no_file_behind(networks: str, tmp_path: Path) -> None:
    first, second = (import_model(f"{networks}:small") for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    assert first.provenance == second.provenance
    assert str(tmp_path).encode() not in first.to_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        [f"{networks}.py"],
        ["__pycache__", f"{networks}.py"],
    )


def failure(source: str, options: ImportOptions | None = None) -> EdgeCompileError:
    with pytest.raises(EdgeCompileError) as caught:
        load_torch(source, options)
    assert "Traceback" not in str(caught.value)
    return caught.value


def test_exception_of_the_users_code_names_its_line(networks: str) -> None:
    error = failure(f"{networks}:broken")
    line = 1 + NETWORKS.splitlines().index('    raise KeyError("weights.pth")')
    assert isinstance(error, InputError)
    assert (
        f"EC3152] '{networks}:broken' raised an exception at '{networks}.py:{line}': KeyError: 'weights.pth'"
        in str(error)
    )


def test_misspelt_function_gets_a_hint(networks: str) -> None:
    error = failure(f"{networks}:smal")
    assert isinstance(error, InputError)
    assert "EC3151] there is no 'smal'" in str(error)
    assert "did you mean 'small'?" in str(error)


def test_missing_module(networks: str) -> None:
    assert "ModuleNotFoundError: No module named 'no_such_module'" in str(failure("no_such_module:f"))


def test_wrong_result_says_what_is_wanted(networks: str) -> None:
    error = failure(f"{networks}:wrong")
    assert "EC3153" in str(error)
    assert "it returned a Small" in str(error)
    assert "it must return (torch.nn.Module, example inputs)" in str(error)


def test_data_dependent_control_flow_is_unsupported(networks: str) -> None:
    error = failure(f"{networks}:branchy")
    line = 1 + NETWORKS.splitlines().index("        if x.sum() > 0:")
    assert isinstance(error, UnsupportedError)
    assert f"EC4131] torch cannot export '{networks}:branchy' at '{networks}.py:{line}'" in str(error)


def test_operation_without_onnx_form_is_unsupported(networks: str) -> None:
    error = failure(f"{networks}:exotic")
    assert isinstance(error, UnsupportedError)
    line = 1 + NETWORKS.splitlines().index("        return torch.linalg.eigh(x)[0]")
    assert f"EC4132] the network has no ONNX form at '{networks}.py:{line}'" in str(error)
    assert "eigh" in str(error)


def test_shape_that_contradicts_the_example(networks: str) -> None:
    error = failure(f"{networks}:small", ImportOptions({"image": (1, 3, 16, 16)}))
    assert isinstance(error, UsageError)
    assert "does not fit input 'image'" in str(error)


@pytest.fixture
def program(networks: str, tmp_path: Path) -> Path:
    module, image = __import__(networks).small()
    path = tmp_path / "small.pt2"
    torch.export.save(torch.export.export(module.eval(), (image,)), path)
    return path


def test_pt2_needs_consent(program: Path) -> None:
    error = failure(str(program))
    assert isinstance(error, UsageError)
    assert "EC2131" in str(error)
    assert "executes code that it contains" in str(error)
    assert "--trust-pickle" in str(error)


def test_pt2_with_consent_equals_the_module(program: Path, networks: str) -> None:
    options = ImportOptions(trust_pickle=True)
    imported, _ = import_through(str(program), options, Pipeline(canonicalize_passes()))
    assert imported.provenance.source == "small.pt2"
    image = np.ones((1, 3, 8, 8), np.float32)
    outputs = [
        run_model(model, {"image": image})[0]
        for model in (imported, canonical(load_torch(f"{networks}:small")))
    ]
    assert relative_error(*outputs) < 1e-5


def test_pt2_with_a_free_dimension_is_bound_like_onnx(networks: str, tmp_path: Path) -> None:
    module, image = __import__(networks).small()
    dynamic = {"image": {2: torch.export.Dim("height", min=4, max=64)}}
    path = tmp_path / "dynamic.pt2"
    torch.export.save(torch.export.export(module.eval(), (image,), dynamic_shapes=dynamic), path)
    error = failure(str(path), ImportOptions(trust_pickle=True))
    assert "EC4112" in str(error)
    assert "--input image:1,3,224,8" in str(error)
    imported = load_torch(str(path), ImportOptions({"image": (1, 3, 16, 8)}, trust_pickle=True))
    assert [info.shape for info in canonical(imported).outputs] == [(1, 4)]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"hello"])
def test_damaged_pt2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pt2"
    path.write_bytes(content)
    error = failure(str(path), ImportOptions(trust_pickle=True))
    assert isinstance(error, InputError)
    assert ("EC3154" if content else "EC3102") in str(error)


def test_checkpoint_has_no_graph(tmp_path: Path) -> None:
    error = failure(str(tmp_path / "weights.pth"))
    assert isinstance(error, UnsupportedError)
    assert "a checkpoint holds weights but no graph" in str(error)


def test_missing_torch_shows_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    error = failure("module:function")
    assert isinstance(error, MissingToolError)
    assert "pip install 'edgecompile[torch]'" in str(error)


def test_module_is_importable_without_torch() -> None:
    script = "import sys, edgecompile.frontend.torch; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
