"""Writes tests/known-answers/files/: small files made without Tessera, for test_safetensors.c and test_npy.c.

    python3 tests/unit/make_files.py

Needs numpy and torch (bfloat16). The safetensors files are put together by hand from the format's description; the
checksums are those that liblzma computes for .xz files (CRC-64)."""
import json
import lzma
import os
import struct

import numpy
import torch

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "known-answers", "files")


def crc64(data):
    """An .xz stream of one block ends with: check (8), index, footer (12, says how long the index is)."""
    stream = lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64)
    index_bytes = 4 * (struct.unpack("<I", stream[-8:-4])[0] + 1)
    return struct.unpack("<Q", stream[-12 - index_bytes - 8:-12 - index_bytes])[0]


def safetensors(name, tensors, metadata, compact=False):
    """tensors: list of (name, type, shape, bytes)."""
    header, values = {"__metadata__": metadata} if metadata is not None else {}, b""
    for key, kind, shape, data in tensors:
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(values), len(values) + len(data)]}
        values += data
    if compact:
        metadata["checksum"] = metadata["checksum"] or "crc64:%016x" % crc64(values)
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    else:
        text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + values)


def types():
    """Each tensor NAME beside NAME.value, the same numbers in F64."""
    half_bits = [0x0000, 0x8000, 0x0001, 0x8001, 0x0155, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x0401, 0x3555, 0x3C00, 0xBC00,
                 0x3C01, 0x4248, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF]
    brain_bits = [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x0080, 0x8080, 0x3F80, 0xBF80, 0x3F81, 0x4049, 0x7F7F, 0xFF7F,
                  0x7F80, 0xFF80, 0x7F81, 0x7FC0, 0xFFFF]
    single_bits = [0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x3F800001, 0x40490FDB, 0x7F7FFFFF,
                   0x7F800000, 0xFF800000, 0x7FC00000]
    half = numpy.array(half_bits, "<u2").view("<f2")
    brain = torch.tensor([b - 65536 if b > 32767 else b for b in brain_bits], dtype=torch.int16).view(torch.bfloat16)
    single = numpy.array(single_bits, "<u4").view("<f4")
    i64 = numpy.array([0, 1, -1, 2**24 + 1, -2**31 - 1, 2**53 + 1, 2**63 - 1, -2**63], "<i8")
    i32 = numpy.array([[0, 1, -1], [2**24 + 1, 2**31 - 1, -2**31]], "<i4")
    u8 = numpy.arange(256, dtype="u1")[::15].copy()
    tensors = []
    for name, kind, array, value in (("half", "F16", half, half.astype("<f8")),
                                     ("brain", "BF16", brain.view(torch.int16).numpy(), brain.double().numpy()),
                                     ("single", "F32", single, single.astype("<f8")),
                                     ("i64", "I64", i64, i64.astype("<f8")),
                                     ("i32", "I32", i32, i32.astype("<f8")),
                                     ("u8", "U8", u8, u8.astype("<f8"))):
        tensors += [(name, kind, array.shape, array.tobytes()), (name + ".value", "F64", value.shape, value.tobytes())]
    tensors += [("double", "F64", [2], numpy.array([0.1, -1.5e-300], "<f8").tobytes()),
                ("scalar", "I64", [], struct.pack("<q", -7)),
                ("empty", "F32", [3, 0, 2], b""),
                ("a \"quoted\"\\ \t\u00fc\u20ac\U0001F600", "U8", [1], b"\x2a")]
    safetensors("types.safetensors", tensors, {"format": "pt", "\u00fc": "two\nlines \U0001F600"})


def saved():
    """What tsr_archive_save and tsr_npy_save must write, byte for byte."""
    a, b = numpy.arange(6).reshape(2, 3) / 8 - 0.25, numpy.array(0.1)
    for kind, code, real in (("F32", "<f4", "float"), ("F64", "<f8", "double")):
        safetensors(f"saved-{real}.safetensors",
                    [("z.weight", kind, [2, 3], a.astype(code).tobytes()), ("empty", kind, [0, 4], b""),
                     ("a \"b\"\\ \x01 \u20ac", kind, [], b.astype(code).tobytes())],
                    {"checksum": None, "format": "pt", "step": "12\u00fc"}, compact=True)
        numpy.save(os.path.join(HERE, f"saved-{real}.npy"), a.astype(code))


def npy(name, array, version=(1, 0)):
    with open(os.path.join(HERE, name), "wb") as file:
        numpy.lib.format.write_array(file, array, version=version)


def arrays():
    """Value i in C order is i - 5 (u1: i; b1: whether i is divisible by 3; f2: half of i - 5)."""
    count = numpy.arange(24).reshape(2, 3, 4) - 5
    npy("f8-fortran.npy", numpy.asfortranarray(count.astype("<f8")))
    npy("f4-big.npy", count.astype(">f4"))
    npy("f8-big-fortran.npy", numpy.asfortranarray(count.astype(">f8")), (3, 0))
    npy("f2.npy", (count / 2).astype("<f2"))
    npy("f2-big.npy", (count / 2).astype(">f2"))
    npy("i8.npy", count.astype("<i8"), (2, 0))
    npy("i8-big.npy", count.astype(">i8"))
    npy("i4-fortran.npy", numpy.asfortranarray(count.astype("<i4")))
    npy("i4-big.npy", count.astype(">i4"))
    npy("u1.npy", (count + 5).astype("u1"))
    npy("b1.npy", (count + 5) % 3 == 0)
    npy("scalar.npy", numpy.array(-5.0, "<f4"))
    npy("vector.npy", numpy.array([-5, -4], "<f8"))
    npy("empty.npy", numpy.zeros((3, 0, 2), "<f4"))


os.makedirs(HERE, exist_ok=True)
types()
saved()
arrays()
