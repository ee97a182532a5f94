"""Packing samples, and a compiled network as a function of batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError
from edgecompile.execute import CompiledNetwork, load_golden, pack, unpack
from tests.support.artifacts import InProcessDevice, build_artifact, install_device, network_of

dtypes = st.sampled_from(["float32", "float64", "float16", "int8", "int64", "uint16", "bool"])
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
tensors = st.lists(st.tuples(shapes, dtypes), min_size=1, max_size=4)


@given(tensors, st.integers(1, 3))
def test_unpack_is_the_inverse_of_pack(tensors: list[tuple[tuple[int, ...], str]], samples: int) -> None:
    infos = [TensorInfo(f"t{i}", shape, dtype) for i, (shape, dtype) in enumerate(tensors)]
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 2, (samples, *i.shape)).astype(i.dtype) for i in infos]
    data = pack(infos, arrays)
    assert len(data) == samples * sum(info.nbytes for info in infos)
    for array, back in zip(arrays, unpack(infos, data, samples), strict=True):
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_samples_lie_one_after_the_other_little_endian() -> None:
    infos = (TensorInfo("a", (2,), "int16"), TensorInfo("b", (), "uint8"))
    big_endian = np.array([[1, 2], [3, 4]], ">i2").astype(np.int16)
    data = pack(infos, (big_endian, np.array([9, 8], np.uint8)))
    assert data == bytes([1, 0, 2, 0, 9, 3, 0, 4, 0, 8])


def test_every_unfitting_input_is_named() -> None:
    infos = (TensorInfo("a", (2,), "float32"), TensorInfo("b", (3,), "int8"))
    with pytest.raises(InputError) as caught:
        pack(infos, (np.zeros((5, 3), np.float32), np.zeros((5, 3), np.int16)))
    assert str(caught.value).splitlines() == [
        "error[EC3051] wrong input data at 'a': it is float32 (3,), the network takes float32 (2,).",
        "error[EC3051] wrong input data at 'b': it is int16 (3,), the network takes int8 (3,).",
    ]


def test_a_compiled_network_takes_whole_batches_in_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = InProcessDevice()
    install_device(monkeypatch, device)
    network = CompiledNetwork(build_artifact(tmp_path / "net.edge"))
    batch = np.random.default_rng(3).standard_normal((7, 4)).astype(np.float32)
    result = network(batch)
    assert isinstance(result, np.ndarray)
    assert result.shape == (7, 3)
    np.testing.assert_allclose(result, network_of(batch), rtol=1e-6)
    assert [request.samples for request in device.requests] == [7]


def test_missing_golden_vectors_are_named(tmp_path: Path) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    (artifact.path / "golden.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"EC3052.*golden.npz.*Fix: compile again"):
        load_golden(artifact)
