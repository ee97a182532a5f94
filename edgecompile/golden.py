"""Golden vectors: inputs, and the outputs that onnxruntime computes for them from the imported network."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem
from edgecompile.passes.prove import generate_inputs, index_bounds, relative_error, run_model
from edgecompile.passes.quantize.interpreter import Interpreter, is_exact
from edgecompile.passes.quantize.sample_files import read_npz
from edgecompile.passes.quantize.samples import Samples

Arrays = list[np.ndarray[Any, Any]]


# Noise for networks that round real numbers while they run: enough to round a few of them the other way.
_ROUNDING_JITTER = 1e-5
_ROUNDING_OPERATORS = frozenset({"DynamicQuantizeLinear"})


def write_golden(
    model: Model, source: Path | None, samples: int, path: Path, canonical: Model | None = None
) -> None:
    """Write `path` (.npz) with in_k and out_k, each with a leading sample axis, and noise_k.

    Inputs come from `source` or are seeded noise. `noise_k` is how far the reference disagrees with itself:
    the largest relative difference of output k between onnxruntime with and without its optimizations, which
    add in another order, and where `canonical`, the same network after `canonicalize_passes`, rounds numbers
    to integers, what comes of rounding some of them the other way. Raises InputError as `load_inputs`.
    """
    names = [info.name for info in model.inputs]
    if source is not None:
        batches = load_inputs(source, model.inputs)
    else:
        bounds = index_bounds(model)
        made = [generate_inputs(model.inputs, seed, bounds) for seed in range(samples)]
        batches = [[sample[name] for name in names] for sample in made]
    feeds = [dict(zip(names, sample, strict=True)) for sample in batches]
    results = [run_model(model, feed) for feed in feeds]
    others = [run_model(model, feed, optimize=True) for feed in feeds]
    jittered = others if canonical is None or not _rounds(canonical) else _jittered(canonical, feeds)
    arrays = {f"in_{k}": np.stack([sample[k] for sample in batches]) for k in range(len(model.inputs))}
    arrays |= {f"out_{k}": np.stack([sample[k] for sample in results]) for k in range(len(results[0]))}
    for k in range(len(results[0])):
        pairs = [*zip(results, others, strict=True), *zip(results, jittered, strict=True)]
        errors = [relative_error(one[k], other[k]) for one, other in pairs]
        arrays[f"noise_{k}"] = np.asarray(max(errors, default=0.0))
    path.write_bytes(npz_bytes(arrays))


def _rounds(model: Model) -> bool:
    """Whether the network rounds, and the interpreter can say what that does: it knows no inner graphs."""
    graph = model.graph.graph
    is_flat = all(node.graph is graph for node in graph.all_nodes())
    return is_flat and any(node.op_type in _ROUNDING_OPERATORS and not node.domain for node in graph)


def _jittered(model: Model, feeds: Sequence[dict[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
    return [Interpreter(model, jitter=0, size=_ROUNDING_JITTER).run(feed) for feed in feeds]


def write_integer_golden(model: Model, path: Path) -> tuple[float, ...]:
    """Replace the outputs in `path` by those of the integer interpreter on `model`, a graph after all passes.

    Inputs that the network takes as integers are quantized. `exact_k` says that output k does not depend on
    any float operator: a binary must give exactly these values. `noise_k` is how far the others move when
    float operators round a little differently. Returns the relative difference of each output to the float
    computation that `path` held before (0 for an output that is another tensor now).
    """
    with np.load(path) as stored:
        inputs = [_as_integers(stored[f"in_{k}"], info) for k, info in enumerate(model.inputs)]
        before = [stored[f"out_{k}"] for k in range(len(model.outputs))]
    names = [info.name for info in model.inputs]
    feeds = [dict(zip(names, sample, strict=True)) for sample in zip(*inputs, strict=True)]
    results = _stacked([Interpreter(model).run(feed) for feed in feeds])
    jittered = _stacked([Interpreter(model, jitter=0).run(feed) for feed in feeds])
    arrays = {f"in_{k}": array for k, array in enumerate(inputs)}
    for k, (info, one, other) in enumerate(zip(model.outputs, results, jittered, strict=True)):
        arrays[f"out_{k}"] = one
        arrays[f"noise_{k}"] = np.asarray(relative_error(one, other))
        arrays[f"exact_{k}"] = np.asarray(is_exact(model, info.name))
    path.write_bytes(npz_bytes(arrays))
    same = zip(before, results, strict=True)
    return tuple(relative_error(old, new) if old.dtype == new.dtype else 0.0 for old, new in same)


def _as_integers(values: np.ndarray[Any, Any], info: TensorInfo) -> np.ndarray[Any, Any]:
    if values.dtype.name == info.dtype or info.scale is None:
        return values
    limits = np.iinfo(info.dtype)
    whole = np.rint(values / np.float32(info.scale)) + (info.zero_point or 0)
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(info.dtype))


def _stacked(samples: list[Arrays]) -> Arrays:
    return [np.stack(column) for column in zip(*samples, strict=True)]


def load_inputs(path: Path, infos: tuple[TensorInfo, ...]) -> list[Arrays]:
    """Samples from an .npz of arrays named like the inputs (or in_0, in_1, ...), leading axis = sample.

    Raises InputError: EC3050 without samples, EC3301 to EC3304 as calibration data do.
    """
    samples = list(Samples(lambda: [read_npz(path)], infos, str(path)))
    if infos and not samples:
        raise InputError(Problem("EC3050", "there are no golden inputs", str(path), "", "give a sample"))
    return [[sample[info.name] for info in infos] for sample in samples or [{}]]


def npz_bytes(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """An .npz without time stamps (np.savez writes the clock into the zip)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), stream.getvalue())
    return buffer.getvalue()
