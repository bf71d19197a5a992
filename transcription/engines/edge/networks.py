"""Whisper's networks as ONNX graphs, from the weights of transformers' model.

Three graphs: encoder (features → states), cross (states → keys and values of cross-attention), and decoder (embedded
tokens and the keys and values so far → logits, attention of the alignment heads, keys and values).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from transcription.engines.edge.graph import Array, Graph

_HIDDEN_BIAS = -1e9  # of a position that is not attended to; -inf would give NaN where nothing is


def encoder_graph(model: Any, linear: str) -> Graph:
    """Return the encoder: features (windows, mels, frames × 2) → states (windows, frames, width)."""
    graph, encoder, config = Graph(linear), model.model.encoder, model.config
    x = graph.input("features", ["windows", config.num_mel_bins, config.max_source_positions * 2])
    for convolution, stride in ((encoder.conv1, 1), (encoder.conv2, 2)):
        weight, bias = (graph.constant(_numpy(value)) for value in (convolution.weight, convolution.bias))
        x = graph.op("Conv", x, weight, bias, kernel_shape=[3], pads=[1, 1], strides=[stride])
        x = graph.contrib("Gelu", x)
    x = graph.op("Transpose", x, perm=[0, 2, 1])
    x = graph.op("Add", x, graph.constant(_numpy(encoder.embed_positions.weight)))
    for layer in encoder.layers:
        own = layer.self_attn
        parts = _split(graph, graph.linear(graph.norm(x, layer.self_attn_layer_norm), *_qkv(own)), 3)
        attended = graph.contrib("MultiHeadAttention", *parts, num_heads=own.num_heads)
        x = graph.op("Add", x, _linear(graph, attended, own.out_proj))
        x = _feed_forward(graph, x, layer)
    graph.output("states", graph.norm(x, encoder.layer_norm), ["windows", "frames", config.d_model])
    return graph


def cross_graph(model: Any, linear: str) -> Graph:
    """Return the graph of cross-attention: states → keys and values of each layer.

    The keys are transposed, (windows, heads, head width, frames), so that a step reads them in order.
    """
    graph, config = Graph(linear), model.config
    states = graph.input("states", ["windows", "frames", config.d_model])
    heads, width = config.decoder_attention_heads, config.d_model // config.decoder_attention_heads
    for number, layer in enumerate(model.model.decoder.layers):
        cross = layer.encoder_attn
        key = _heads(graph, _linear(graph, states, cross.k_proj), heads, [0, 2, 3, 1])
        value = _heads(graph, _linear(graph, states, cross.v_proj), heads, [0, 2, 1, 3])
        graph.output(f"cross_key_{number}", key, ["windows", heads, width, "frames"])
        graph.output(f"cross_value_{number}", value, ["windows", heads, "frames", width])
    return graph


def decoder_graph(model: Any, alignment_heads: Sequence[tuple[int, int]], linear: str) -> Graph:
    """Return one pass of the decoder.

    embedded: tokens (rows, queries, width), with their position. first (rows,): the first position of a row that is no
    padding. wanted (rows, positions, 1): the queries whose logits are computed. attention: of the alignment heads,
    (rows, heads, queries, frames).
    """
    graph, config, decoder = Graph(linear), model.config, model.model.decoder
    heads, width = config.decoder_attention_heads, config.d_model // config.decoder_attention_heads
    x = graph.input("embedded", ["rows", "queries", config.d_model])
    first = graph.input("first", ["rows"], TensorProto.INT64)
    wanted = graph.input("wanted", ["rows", "positions", 1], TensorProto.INT64)
    recorded: list[str] = []
    bias = ""
    for number, layer in enumerate(decoder.layers):
        past = [graph.input(f"past_{kind}_{number}", ["rows", heads, "past", width]) for kind in ("key", "value")]
        cross_key = graph.input(f"cross_key_{number}", ["rows", heads, width, "frames"])
        cross_value = graph.input(f"cross_value_{number}", ["rows", heads, "frames", width])
        bias = bias or _causal_bias(graph, x, past[0], first)
        parts = _split(graph, graph.linear(graph.norm(x, layer.self_attn_layer_norm), *_qkv(layer.self_attn)), 3)
        attended, *present = graph.ops(
            "MultiHeadAttention", [*parts, "", "", bias, *past], 3, "com.microsoft", {"num_heads": heads}
        )
        for kind, tensor in zip(("key", "value"), present, strict=True):
            graph.output(f"present_{kind}_{number}", tensor, ["rows", heads, "length", width])
        x = graph.op("Add", x, _linear(graph, attended, layer.self_attn.out_proj))
        query = _scaled_query(graph, graph.norm(x, layer.encoder_attn_layer_norm), layer.encoder_attn)
        weights = graph.op("Softmax", graph.op("MatMul", query, cross_key), axis=-1)
        if chosen := [head for at, head in sorted(alignment_heads) if at == number]:
            recorded.append(graph.op("Gather", weights, graph.integers(*chosen), axis=1))
        mixed = graph.op("Transpose", graph.op("MatMul", weights, cross_value), perm=[0, 2, 1, 3])
        mixed = graph.op("Reshape", mixed, graph.integers(0, 0, config.d_model))
        x = graph.op("Add", x, _linear(graph, mixed, layer.encoder_attn.out_proj))
        x = _feed_forward(graph, x, layer)
    hidden = graph.op("GatherND", graph.norm(x, decoder.layer_norm), wanted, batch_dims=1)
    graph.output(
        "logits", graph.linear(hidden, _numpy(model.proj_out.weight)), ["rows", "positions", config.vocab_size]
    )
    graph.output("attention", graph.op("Concat", *recorded, axis=1), ["rows", "heads", "queries", "frames"])
    return graph


def _causal_bias(graph: Graph, x: str, past: str, first: str) -> str:
    """Return what is added to attention (rows, 1, queries, length): a query sees itself and what is before it."""
    before = graph.op("Gather", graph.op("Shape", past), graph.integers(2), axis=0)
    length = graph.op("Add", before, graph.op("Gather", graph.op("Shape", x), graph.integers(1), axis=0))
    zero, one = (graph.constant(np.array(value, np.int64)) for value in (0, 1))
    empty = graph.integers()
    scalars = [graph.op("Reshape", value, empty) for value in (before, length)]
    keys = graph.op("Range", zero, scalars[1], one)
    queries = graph.op("Unsqueeze", graph.op("Range", *scalars, one), graph.integers(1))
    is_after = graph.op("Greater", keys, queries)  # (queries, length)
    is_padding = graph.op("Less", keys, graph.op("Unsqueeze", first, graph.integers(1, 2)))  # (rows, 1, length)
    is_hidden = graph.op("Unsqueeze", graph.op("Or", is_after, is_padding), graph.integers(1))
    hidden, seen = (graph.constant(np.array(value, np.float32)) for value in (_HIDDEN_BIAS, 0.0))
    return graph.op("Where", is_hidden, hidden, seen)


def _feed_forward(graph: Graph, x: str, layer: Any) -> str:
    inner = _linear(graph, graph.norm(x, layer.final_layer_norm), layer.fc1)
    return graph.op("Add", x, _linear(graph, graph.contrib("Gelu", inner), layer.fc2))


def _scaled_query(graph: Graph, x: str, attention: Any) -> str:
    weight, bias = (_numpy(value) * attention.scaling for value in (attention.q_proj.weight, attention.q_proj.bias))
    return _heads(graph, graph.linear(x, weight, bias), attention.num_heads, [0, 2, 1, 3])


def _heads(graph: Graph, x: str, heads: int, order: list[int]) -> str:
    """Split the last dimension into heads, and put (rows, length, heads, head width) into an order."""
    return graph.op("Transpose", graph.op("Reshape", x, graph.integers(0, 0, heads, -1)), perm=order)


def _split(graph: Graph, x: str, count: int) -> list[str]:
    return graph.ops("Split", [x], count, "", {"axis": -1})


def _linear(graph: Graph, x: str, layer: Any) -> str:
    return graph.linear(x, _numpy(layer.weight), None if layer.bias is None else _numpy(layer.bias))


def _qkv(attention: Any) -> tuple[Array, Array]:
    """Return weight and bias of query, key and value as one layer; Whisper's keys have no bias."""
    layers = attention.q_proj, attention.k_proj, attention.v_proj
    biases = [np.zeros(len(layer.weight), np.float32) if layer.bias is None else _numpy(layer.bias) for layer in layers]
    return np.concatenate([_numpy(layer.weight) for layer in layers]), np.concatenate(biases)


def _numpy(tensor: Any) -> Array:
    return np.asarray(tensor.detach().numpy())
