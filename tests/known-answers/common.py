"""Writes the known answers of a family: common.save("conv.safetensors", {name: array or torch tensor}).

case() runs a function on double tensors and stores inputs, result, cotangent and gradients under one name."""
import json
import os
import struct

import numpy
import torch

torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))


def last(x):
    """Channels first (N, C, S...) to channels last (N, S..., C)."""
    return x.movedim(1, -1)


def first(x):
    """Channels last to channels first, as torch's functions want it."""
    return x.movedim(-1, 1)


def case(store, name, fn, *inputs, gradients=True, differentiate=None):
    """Stores fn(*inputs); inputs are in our layout (None: left out). `differentiate`: which inputs, default all floats."""
    leaves = [None if x is None else x.detach().clone() for x in inputs]
    wanted = [i for i, x in enumerate(leaves) if x is not None] if differentiate is None else list(differentiate)
    if gradients:
        for i in wanted:
            leaves[i].requires_grad_(True)
    out = fn(*leaves)
    for i, x in enumerate(leaves):
        if x is not None:
            store[f"{name}.in{i}"] = x.detach()
    store[f"{name}.out"] = out.detach()
    if gradients:
        cotangent = torch.randn(out.shape)
        out.backward(cotangent)
        store[f"{name}.cotangent"] = cotangent
        for i in wanted:
            grad = leaves[i].grad
            store[f"{name}.grad{i}"] = torch.zeros_like(leaves[i]) if grad is None else grad


def save(filename, store):
    """safetensors: 8 bytes header length, JSON header, values (U8 where they are bytes, else F64; little-endian)."""
    header, chunks, offset = {}, [], 0
    for name, value in store.items():
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else numpy.asarray(value)
        kind, form = ("U8", "u1") if array.dtype == numpy.uint8 else ("F64", "<f8")
        data = numpy.ascontiguousarray(array, dtype=form).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, filename), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))
