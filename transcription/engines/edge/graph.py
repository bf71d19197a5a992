"""Graph: builds an ONNX graph, with linear layers in float32 or in 8 bits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
_OPSET, _IR_VERSION = 17, 9  # onnxruntime 1.17 reads them
_CONTRIB = "com.microsoft"  # onnxruntime's own operators
_BLOCK = 128  # weights of one scale
_INT8_ACTIVATIONS = 4  # MatMulNBits: compute in 8 bits too


class Graph:
    """An ONNX graph under construction. Methods take and return the names of tensors."""

    def __init__(self, linear: str = "float32") -> None:
        """Start empty.

        linear: how linear layers are computed. float32; int8: 8-bit products of many rows, with one scale for each
        column of weights and one for all activations; int8-blocks: 8-bit products of few rows, with one scale for each
        block of weights and of activations.
        """
        self._linear = linear
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        """Add an input; a name in its shape is a size that varies."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, tensor: str, shape: Sequence[int | str]) -> None:
        """Make a tensor an output under a name."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def constant(self, value: Array) -> str:
        """Add a constant."""
        name = self._new()
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a list of whole numbers, such as a shape."""
        return self.constant(np.array(values, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of ONNX with one output."""
        return self.ops(kind, inputs, 1, "", attributes)[0]

    def contrib(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of onnxruntime with one output."""
        return self.ops(kind, inputs, 1, _CONTRIB, attributes)[0]

    def ops(
        self,
        kind: str,
        inputs: Sequence[str],
        count: int,
        domain: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Add an operator with `count` outputs. An empty input is an absent one."""
        names = [self._new() for _ in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **(attributes or {})))
        return names

    def linear(self, x: str, weight: Array, bias: Array | None = None) -> str:
        """Return x · weightᵀ + bias, for a weight (outputs, inputs)."""
        if self._linear == "int8":
            quantized, scales = quantize_columns(weight)
            inputs = [x, self.constant(quantized), self.constant(scales)]
            return self.contrib("DynamicQuantizeMatMul", *inputs, *self._optional("", bias))
        if self._linear == "int8-blocks":
            outputs, width = weight.shape
            packed, scales = quantize_blocks(weight)
            x = self.contrib(
                "MatMulNBits", x, self.constant(packed), self.constant(scales),
                K=width, N=outputs, bits=8, block_size=_BLOCK, accuracy_level=_INT8_ACTIVATIONS,
            )  # fmt: skip
        else:
            x = self.op("MatMul", x, self.constant(weight.T))
        return x if bias is None else self.op("Add", x, self.constant(bias))

    def _optional(self, absent: str, bias: Array | None) -> list[str]:
        return [] if bias is None else [absent, self.constant(bias)]

    def norm(self, x: str, layer: Any) -> str:
        """Return the layer normalisation of x, with the parameters of a torch.nn.LayerNorm."""
        weight, bias = (self.constant(value.detach().numpy()) for value in (layer.weight, layer.bias))
        return self.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps)

    def save(self, path: Path) -> None:
        """Write the graph, and its weights beside it, so that onnxruntime can map them into memory."""
        graph = helper.make_graph(self._nodes, path.stem, self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        weights = f"{path.stem}.data"
        path.with_name(weights).unlink(missing_ok=True)  # onnx appends to an old file
        onnx.save_model(model, str(path), save_as_external_data=True, location=weights, size_threshold=1024)
        path.with_name(weights).chmod(0o644)  # onnx lets nobody else read it

    def _new(self) -> str:
        self._count += 1
        return f"t{self._count}"


def quantize_columns(weight: Array) -> tuple[Array, Array]:
    """Return a weight (outputs, inputs) as int8 (inputs, outputs), and a scale for each output."""
    scales = np.maximum(np.abs(weight).max(axis=1), 1e-8).astype(np.float32) / 127
    return np.rint(weight / scales[:, None]).astype(np.int8).T, scales


def quantize_blocks(weight: Array) -> tuple[Array, Array]:
    """Return a weight (outputs, inputs) as MatMulNBits reads it: uint8 (outputs, blocks, block), and scales."""
    outputs, width = weight.shape
    blocks = -(-width // _BLOCK)
    padded = np.zeros((outputs, blocks * _BLOCK), np.float32)
    padded[:, :width] = weight
    parts = padded.reshape(outputs, blocks, _BLOCK)
    scales = np.maximum(np.abs(parts).max(axis=2), 1e-8) / 127
    return (np.rint(parts / scales[..., None]) + 128).astype(np.uint8), scales.reshape(-1)
