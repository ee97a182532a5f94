"""Recurrent layers on the simulated GPU: threads have to wait where one reads what another wrote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.kernels.compute_cells import GruCell
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.recurrent import fits_a_block
from edgecompile.kernels.math import tanh
from tests.lower.ops.test_recurrent import HIDDEN, constants_of, operands
from tests.support.gpu_networks import check_cases, node_case
from tests.support.operators import Array, normal

Case = tuple[Model, list[Array], list[Array]]


def layer(op_type: str, inputs: list[Array | None], hidden: int = HIDDEN, **attributes: Any) -> Case:
    outputs = ["y0", "y1", "y2"][: 3 if op_type == "LSTM" else 2]
    attributes |= {"hidden_size": hidden, "outputs": outputs, "constants": constants_of(inputs)}
    return node_case(op_type, inputs, **attributes)


def test_every_cell_in_every_direction() -> None:
    check_cases(
        {
            f"{kind}, {direction}": layer(
                kind, operands(kind, direction, lengths=True, states=True), direction=direction
            )
            for kind in ("LSTM", "GRU", "RNN")
            for direction in ("forward", "reverse", "bidirectional")
        }
    )


def test_other_forms_of_cells() -> None:
    batch_first = operands("GRU", states=True)
    for place in (0, 5):
        given = batch_first[place]
        assert given is not None
        batch_first[place] = np.ascontiguousarray(np.swapaxes(given, 0, 1))
    check_cases(
        {
            "peepholes": layer("LSTM", operands("LSTM", peepholes=True), input_forget=1, clip=0.5),
            "linear before reset": layer("GRU", operands("GRU"), linear_before_reset=1),
            "no bias": layer("LSTM", operands("LSTM", bias=False)),
            "batch first": node_case(
                "GRU",
                batch_first,
                "onnx",
                constants=constants_of(batch_first),
                outputs=["y0", "y1"],
                hidden_size=HIDDEN,
                layout=1,
            ),
        }
    )


def test_more_columns_than_threads_and_several_rows_a_thread() -> None:
    wide = [normal(3, 2, 5), normal(1, 4 * 150, 5, seed=1), normal(1, 4 * 150, 150, seed=2) * 0.1]
    long = [normal(45, 3, 6), normal(1, 3 * 64, 6, seed=1), normal(1, 3 * 64, 64, seed=2) * 0.1]
    check_cases(
        {
            "wide": layer("LSTM", [*wide], hidden=150),
            "long": layer("GRU", [*long], hidden=64),
        }
    )


def test_what_has_no_place_in_a_block_is_one_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(8)
    assert fits_a_block(GruCell(tanh, tanh, None, False), 2048, "float32", gpu)
    assert not fits_a_block(GruCell(tanh, tanh, None, False), 2560, "float32", gpu)
    monkeypatch.setattr("edgecompile.lower.ops.recurrent.fits_a_block", lambda *given: False)
    check_cases({"lstm": layer("LSTM", operands("LSTM", "bidirectional"), direction="bidirectional")})
