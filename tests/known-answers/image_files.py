"""Small picture files of every kind, and the pixels that reference decoders make of them: libjpeg's of JPEG (by PIL; cjpeg and
jpegtran write what PIL cannot), NumPy's of the formats without loss, which are packed here and checked with PIL where it
reads them. NAME.file holds the bytes, NAME.pixels the picture."""
import io
import struct
import subprocess
import zlib

import numpy
from PIL import Image, ImageOps

import common

r = numpy.random.default_rng(4)
store = {}


def keep(name, data, pixels):
    pixels = numpy.asarray(pixels)
    store[name + ".file"] = numpy.frombuffer(bytes(data), numpy.uint8)
    store[name + ".pixels"] = pixels.reshape(pixels.shape[0], pixels.shape[1], -1).astype(numpy.uint8)


def scene(width, height):
    """Smooth, with an edge and some noise."""
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    s = numpy.stack([128 + 90 * numpy.sin(x / 5), 40 + 6 * y, 200 - 4 * x + 2 * y], -1)
    s[height // 3:, width // 2:] += 60
    return (s + r.normal(0, 6, s.shape)).clip(0, 255).astype(numpy.uint8)


# ---- JPEG ------------------------------------------------------------------------------------------------------------


def tool(*command, stdin):
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def ppm(picture):
    return b"P6 %d %d 255\n" % (picture.shape[1], picture.shape[0]) + picture.tobytes()


def jpeg(name, *options, size=(21, 18)):
    data = tool("cjpeg", *options, stdin=ppm(scene(*size)))
    image = Image.open(io.BytesIO(data))
    keep("jpeg_" + name, data, image if image.mode == "L" else image.convert("RGB"))


for sampling in ["1x1", "2x1", "1x2", "2x2", "4x1", "4x2", "1x4", "2x1,1x2,1x1", "1x1,2x2,1x1"]:
    for progressive in [[], ["-progressive"]]:
        kind = sampling.replace(",", "_") + ("_progressive" if progressive else "")
        jpeg("sampled_" + kind, "-sample", sampling, "-quality", "80", *progressive)
for side in range(1, 18):
    jpeg(f"{side}x{18 - side}", "-quality", "70", "-sample", ["2x2", "2x1", "1x1"][side % 3],
         *(["-progressive"] if side % 2 else []), size=(side, 18 - side))
for quality in [5, 30, 60, 95, 100]:
    jpeg(f"quality_{quality}", "-quality", str(quality))
jpeg("grey", "-grayscale", "-quality", "85")
jpeg("grey_progressive", "-grayscale", "-progressive", "-quality", "85")
jpeg("rgb", "-rgb", "-quality", "85")
jpeg("restart_blocks", "-restart", "1B", "-quality", "75")
jpeg("restart_rows", "-restart", "1", "-progressive", "-quality", "75")
jpeg("optimised", "-optimize", "-quality", "75")
data = io.BytesIO() # four inks: PIL writes Adobe's marker and inverted inks
Image.fromarray(scene(19, 17)).convert("CMYK").save(data, "JPEG", quality=90)
keep("jpeg_inks", data.getvalue(), Image.open(io.BytesIO(data.getvalue())).convert("RGB"))
marker = data.getvalue().index(b"Adobe") # the same numbers as YCCK: the colour transform is the marker's last byte
ycck = data.getvalue()[:marker + 11] + b"\2" + data.getvalue()[marker + 12:]
keep("jpeg_ycck", ycck, Image.open(io.BytesIO(ycck)).convert("RGB"))
for orientation in range(1, 9):
    data = io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(scene(13, 9)).save(data, "JPEG", quality=80, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data.getvalue())))
    keep(f"jpeg_turned_{orientation}", data.getvalue(), upright)

# ---- PNG -------------------------------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(a, b, c):
    guess = a + b - c
    by = abs(guess - a), abs(guess - b), abs(guess - c)
    return a if by[0] <= by[1] and by[0] <= by[2] else b if by[1] <= by[2] else c


def filtered(rows, pixel):
    """All five filters in turn."""
    out, above = b"", bytes(len(rows[0]) if rows else 0)
    for y, row in enumerate(rows):
        kind, line = y % 5, bytearray()
        for i, value in enumerate(row):
            left, corner = (row[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            guess = [0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner)][kind]
            line.append((value - guess) % 256)
        out, above = out + bytes([kind]) + bytes(line), row
    return out


def packed_rows(samples, depth):
    """samples [h, w, s] of `depth` bits to rows of bytes."""
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in flat]
    bits = (flat[..., None] >> numpy.arange(depth - 1, -1, -1)) & 1
    return [numpy.packbits(row.reshape(-1).astype(numpy.uint8)).tobytes() for row in bits]


def png(name, colour, depth, interlaced=False, size=(13, 11), level=9, extra=b""):
    count = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    palette = r.integers(0, 256, (min(1 << depth, 256), 3)) if colour == 3 else None
    samples = r.integers(0, 1 << depth, (size[1], size[0], count))
    samples[2:7, 3:9] = samples[size[1] // 2, size[0] // 2] # something to pack
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        part = samples[y::dy, x::dx]
        if part.size:
            rows += filtered(packed_rows(part, depth), max(1, count * depth // 8))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced))
    if colour == 3:
        data += chunk(b"PLTE", palette.astype(numpy.uint8).tobytes())
    body = zlib.compress(rows, level)
    data += extra + chunk(b"IDAT", body[:7]) + chunk(b"IDAT", b"") + chunk(b"IDAT", body[7:]) + chunk(b"IEND", b"")
    if colour == 3:
        pixels = palette[samples[..., 0]]
    else:
        most = (1 << depth) - 1
        pixels = (samples[..., : 3 if count > 2 else 1] * 255 + most // 2) // most
    keep("png_" + name, data, pixels)
    seen = Image.open(io.BytesIO(data))
    if depth <= 8:
        theirs = numpy.asarray(seen.convert("L" if count < 3 and colour != 3 else "RGB"))
        assert (theirs.reshape(pixels.shape) == pixels).all(), name


for colour, depths in {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}.items():
    for depth in depths:
        for interlaced in [False, True]:
            png(f"{colour}_{depth}" + ("_interlaced" if interlaced else ""), colour, depth, interlaced)
for side in range(1, 9):
    png(f"small_{side}", 2, 8, True, (side, 9 - side))
png("stored", 2, 8, level=0)
png("gamma", 0, 8, extra=chunk(b"gAMA", struct.pack(">I", 45455)))
png("see_through", 2, 8, extra=chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))

# ---- BMP -------------------------------------------------------------------------------------------------------------


def bmp(name, bits, rows, pixels, palette=None, packing=0, masks=b"", top_down=False, old=False, check=True):
    height, width = pixels.shape[:2]
    colours = b"".join(bytes([*c[::-1]]) + (b"" if old else b"\0") for c in (palette if palette is not None else []))
    header = struct.pack("<IHHHH", 12, width, height, 1, bits) if old else struct.pack(
        "<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, packing, len(rows), 0, 0,
        len(palette) if palette is not None else 0, 0)
    start = 14 + len(header) + len(masks) + len(colours)
    data = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + masks + colours + rows
    keep("bmp_" + name, data, pixels)
    if check:
        assert (numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == pixels).all(), name


def padded(rows):
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


for bits in [1, 4, 8]:
    palette = r.integers(0, 256, (1 << bits, 3))
    places = r.integers(0, 1 << bits, (7, 13, 1))
    rows = packed_rows(places, bits)
    for top_down in [False, True]:
        order = rows if top_down else rows[::-1]
        bmp(f"{bits}" + ("_top_down" if top_down else ""), bits, padded(order), palette[places[..., 0]], palette, top_down=top_down)
    bmp(f"{bits}_old", bits, padded(rows[::-1]), palette[places[..., 0]], palette, old=True)
true = r.integers(0, 256, (7, 5, 3))
bmp("24", 24, padded([row[:, ::-1].astype(numpy.uint8).tobytes() for row in true[::-1]]), true)
four = numpy.concatenate([true[..., ::-1], r.integers(0, 256, (7, 5, 1))], -1).astype(numpy.uint8)
bmp("32", 32, four[::-1].tobytes(), true)
bmp("32_fields", 32, four[::-1].tobytes(), true, packing=3, masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF))
for name, widths, masks, packing in [("16", (5, 5, 5), b"", 0), ("16_fields", (5, 6, 5), struct.pack("<III", 0xF800, 0x7E0, 0x1F), 3)]:
    values = [r.integers(0, 1 << w, (7, 5)) for w in widths]
    word = (values[0] << (widths[1] + widths[2])) | (values[1] << widths[2]) | values[2]
    pixels = numpy.stack([(v * 255 + ((1 << w) - 1) // 2) // ((1 << w) - 1) for v, w in zip(values, widths)], -1)
    bmp(name, 16, padded([row.astype("<u2").tobytes() for row in word[::-1]]), pixels, packing=packing, masks=masks, check=False)
palette = r.integers(0, 256, (16, 3))
run_rows = bytes([3, 5, 0, 4, 1, 2, 3, 4, 0, 0]) + bytes([7, 9, 0, 0]) + bytes([0, 2, 2, 1, 0, 3, 7, 8, 9, 0, 2, 6, 0, 1])
places = numpy.zeros((4, 7), int)
places[3] = [5, 5, 5, 1, 2, 3, 4]
places[2] = 9
places[0, 2:7] = [7, 8, 9, 6, 6]
bmp("runs_8", 8, run_rows, palette[places], palette, packing=1, check=False)
run_rows = bytes([5, 0x12, 0, 4, 0x34, 0x56, 0, 0]) + bytes([9, 0xAB, 0, 0]) + bytes([3, 0x0C, 0, 3, 0x12, 0x30, 0, 1])
places = numpy.zeros((3, 9), int)
places[2] = [1, 2, 1, 2, 1, 3, 4, 5, 6]
places[1] = [10, 11, 10, 11, 10, 11, 10, 11, 10]
places[0, :6] = [0, 12, 0, 1, 2, 3]
bmp("runs_4", 4, run_rows, palette[places], palette, packing=2, check=False)

# ---- orientation in a PNG, and with the low byte first ---------------------------------------------------------------

exif = Image.Exif()
exif[274] = 6
png("turned_6", 2, 8, extra=chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
store["png_turned_6.pixels"] = numpy.rot90(store["png_turned_6.pixels"], -1)
file = Image.open(io.BytesIO(store["png_turned_6.file"].tobytes()))
assert (numpy.asarray(ImageOps.exif_transpose(file)) == store["png_turned_6.pixels"]).all()

data = io.BytesIO()
low_first = struct.pack("<2sHIH HHII HHIHH I", b"II", 42, 8, 2, 256, 4, 1, 13, 274, 3, 1, 8, 0, 0)
Image.fromarray(scene(13, 9)).save(data, "JPEG", quality=80, exif=b"Exif\0\0" + low_first)
file = Image.open(io.BytesIO(data.getvalue()))
assert file.getexif()[274] == 8
keep("jpeg_turned_8_low_first", data.getvalue(), ImageOps.exif_transpose(file))

# ---- two markers that differ about the colours: JFIF's counts ---------------------------------------------------------

rgb = store["jpeg_rgb.file"].tobytes() # has Adobe's
jfif = rgb[:2] + b"\xff\xe0" + struct.pack(">H5sHBHHBB", 16, b"JFIF", 0x101, 0, 1, 1, 0, 0) + rgb[2:]
keep("jpeg_rgb_said_to_be_jfif", jfif, Image.open(io.BytesIO(jfif)))

common.save("image_files.safetensors", store)
