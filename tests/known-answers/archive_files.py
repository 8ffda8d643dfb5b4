"""Small packed files and arrays as gzip, zipfile and NumPy write them: NAME.file holds the bytes; NAME.bytes what gzip and
zip files hold (the members of a zip one after the other), NAME.values the array of the others."""
import gzip
import io
import struct
import zipfile
import zlib

import numpy

import common

r = numpy.random.default_rng(5)
store = {}
TEXT = (b"Der Panther. " * 9 + bytes(range(64)) + r.integers(0, 256, 40).astype(numpy.uint8).tobytes())


def keep(name, data, **content):
    store[f"archive_{name}.file"] = numpy.frombuffer(bytes(data), numpy.uint8)
    for key, value in content.items():
        store[f"archive_{name}.{key}"] = value


def as_bytes(data):
    return numpy.frombuffer(data, numpy.uint8)


# ---- gzip ------------------------------------------------------------------------------------------------------------

for level in [0, 1, 9]:
    keep(f"gzip_level{level}", gzip.compress(TEXT, level, mtime=0), bytes=as_bytes(TEXT))


def member(data, flags):
    """All optional parts of a header, which Python's gzip does not write."""
    head = b"\x1f\x8b\x08" + bytes([flags]) + struct.pack("<IBB", 1, 2, 3)
    head += (struct.pack("<H", 5) + b"extra" if flags & 4 else b"") + (b"name\0" if flags & 8 else b"")
    head += b"comment\0" if flags & 16 else b""
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & 2 else b""
    pack = zlib.compressobj(9, wbits=-15)
    return head + pack.compress(data) + pack.flush() + struct.pack("<II", zlib.crc32(data), len(data))


for flags in [2, 4, 8, 16, 30]:
    keep(f"gzip_flags{flags}", member(TEXT, flags), bytes=as_bytes(TEXT))
parts = member(TEXT * 3, 8) + member(b"", 0) + member(TEXT[:5], 2)
assert gzip.decompress(parts) == TEXT * 3 + TEXT[:5]
keep("gzip_members", parts, bytes=as_bytes(TEXT * 3 + TEXT[:5]))
keep("gzip_zeros", member(TEXT, 0) + bytes(20), bytes=as_bytes(TEXT))
keep("gzip_dense", gzip.compress(bytes(20000), 9, mtime=0), bytes=as_bytes(bytes(20000)))

# ---- zip -------------------------------------------------------------------------------------------------------------


class Stream(io.RawIOBase):
    """Cannot seek: zipfile then writes sizes behind the members."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def zipped(out, packing, comment=b""):
    with zipfile.ZipFile(out, "w", packing) as file:
        for name, data in [("folder/", b""), ("folder/a.txt", TEXT), ("b", b""), ("ü.bin", TEXT[::-1])]:
            file.writestr(zipfile.ZipInfo(name), data, packing)
        file.comment = comment
    return out.data if isinstance(out, Stream) else out.getvalue()


for name, data in [("stored", zipped(io.BytesIO(), zipfile.ZIP_STORED)), ("deflated", zipped(io.BytesIO(), zipfile.ZIP_DEFLATED)),
                   ("stream", zipped(Stream(), zipfile.ZIP_DEFLATED)),
                   ("comment", zipped(io.BytesIO(), zipfile.ZIP_DEFLATED, b"PK\5\6 is how an end begins " * 2))]:
    keep("zip_" + name, data, bytes=as_bytes(TEXT + TEXT[::-1]))

# ---- arrays ----------------------------------------------------------------------------------------------------------


def some(kind, shape=(2, 3, 4)):
    if kind[-2] == "f":
        return (r.normal(0, 9, shape)).astype(kind)
    if kind[-2] == "b":
        return r.integers(0, 2, shape).astype(kind)
    info = numpy.iinfo(kind)
    a = r.integers(info.min, info.max, shape, dtype=kind.replace(">", "<"), endpoint=True).astype(kind)
    a.flat[0], a.flat[1] = info.min, info.max
    return a


def npy(a):
    out = io.BytesIO()
    numpy.save(out, a)
    return out.getvalue()


for kind in ["|b1", "|u1", "|i1", "<i2", "<i4", "<i8", "<u2", "<u4", "<f2", "<f4", "<f8", ">i2", ">i4", ">i8", ">u2", ">u4",
             ">f2", ">f4", ">f8"]:
    a = some(kind)
    name = {"<": "little_", ">": "big_", "|": ""}[kind[0]] + kind[1:]
    keep("array_npy_" + name, npy(a), values=a.astype(float))
a = some("<i2")
keep("array_npy_fortran", npy(numpy.asfortranarray(a)), values=a.astype(float))
keep("array_npy_scalar", npy(numpy.array(2.5)), values=numpy.array(2.5))
out = io.BytesIO()
numpy.savez(out, x=a)
keep("array_npz_stored", out.getvalue(), values=a.astype(float))
out = io.BytesIO()
numpy.savez_compressed(out, x=a)
keep("array_npz_deflated", out.getvalue(), values=a.astype(float))
for code, kind in {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}.items():
    a = some(kind, (3, 5))
    data = bytes([0, 0, code, 2]) + struct.pack(">II", 3, 5) + a.tobytes()
    keep("array_idx_" + kind[1:], data, values=a.astype(float))
keep("array_idx_packed", gzip.compress(data, mtime=0), values=a.astype(float))
a = r.normal(0, 9, (4, 3)).round(4)
for name, separator in {"tab": "\t", "comma": ",", "semicolon": ";", "blanks": "  ", "comma_blank": ", "}.items():
    out = io.BytesIO()
    numpy.savetxt(out, a, "%.4f", separator, header="a" + separator + "b" + separator + "c", comments="",
                  newline="\r\n" if name == "comma" else "\n")
    keep("array_text_" + name, out.getvalue(), values=a)
out = io.BytesIO()
numpy.savetxt(out, a, "%18.10e")
keep("array_text_bare", out.getvalue(), values=a)

common.save("archive_files.safetensors", store)
