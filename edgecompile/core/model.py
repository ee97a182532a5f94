"""A network as edgecompile sees it: an ONNX graph in memory, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import Problem, UnsupportedError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir


@dataclass(frozen=True)
class Provenance:
    """Where a model came from: `source` file name or `module:function`, sha256 of the file's bytes."""

    source: str
    sha256: str
    opset: int
    producer: str = ""


@dataclass(frozen=True)
class Model:
    """`graph` is the network (initializers included); passes return a new Model around a changed graph.

    `notes` are sentences for the report, e.g. "dimension 'N' of input 'x' bound to 1".
    """

    graph: ir.Model
    provenance: Provenance
    notes: tuple[str, ...] = field(default=())

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return tuple(tensor_info(value) for value in self.graph.graph.inputs)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return tuple(tensor_info(value) for value in self.graph.graph.outputs)

    def with_notes(self, *notes: str) -> Model:
        return replace(self, notes=self.notes + notes)

    def copy(self) -> Model:
        """A deep copy of the graph (initializer data is shared)."""
        return replace(self, graph=self.graph.clone())

    def to_proto(self) -> onnx.ModelProto:
        import onnx_ir as ir

        return ir.to_proto(self.graph)

    def to_bytes(self) -> bytes:
        """The ONNX file's bytes; deterministic for equal models."""
        data: bytes = self.to_proto().SerializeToString(deterministic=True)
        return data

    @staticmethod
    def from_bytes(data: bytes, provenance: Provenance, notes: tuple[str, ...] = ()) -> Model:
        import onnx
        import onnx_ir as ir

        return Model(ir.from_proto(onnx.load_model_from_string(data)), provenance, notes)


def tensor_info(value: ir.Value) -> TensorInfo:
    """Describe `value`; raises UnsupportedError (EC4001) when its shape or dtype is not static."""
    shape, dtype, name = value.shape, value.dtype, value.name or "?"
    if shape is None or dtype is None or any(not isinstance(dim, int) for dim in shape):
        raise UnsupportedError(
            Problem(
                "EC4001",
                f"the shape of tensor '{name}' is not known at compile time",
                name,
                f"it is {shape} of {dtype}",
                f"bind it: --input {name}:1,3,224,224",
            )
        )
    scale, zero_point = (value.metadata_props.get(key) for key in _QUANTIZATION_KEYS)
    return TensorInfo(
        name,
        tuple(int(dim) for dim in shape),  # type: ignore[arg-type]
        dtype.numpy().name,
        None if scale is None else float(scale),
        None if zero_point is None else int(zero_point),
    )


def describe_quantization(value: ir.Value, scale: float, zero_point: int) -> None:
    """Note in the graph that the integers in `value` stand for (integer - zero_point) * scale."""
    value.metadata_props.update(zip(_QUANTIZATION_KEYS, (repr(scale), str(zero_point)), strict=True))


_QUANTIZATION_KEYS = ("edgecompile.scale", "edgecompile.zero_point")
