"""Pictures changed by PIL, and similarities fitted by NumPy: what tests/apps compares with."""
import numpy
from PIL import Image, ImageEnhance

import common

r = numpy.random.default_rng(4)
store = {}

# Smooth in one part, noise in another, black and white edges that make filters overshoot.
x, y = numpy.meshgrid(numpy.arange(29), numpy.arange(23))
source = numpy.stack([8 * x, 11 * y, 255 - 4 * x - 5 * y], -1).clip(0, 255)
source[8:] = r.integers(0, 256, (15, 29, 3))
source[3:12, 5:9] = 0
source[2:9, 12:20] = 255
colour = Image.fromarray(source.astype(numpy.uint8))
grey = Image.fromarray(source[..., 1].astype(numpy.uint8))


def keep(name, picture):
    array = numpy.asarray(picture)
    store[name] = array.reshape(array.shape[0], array.shape[1], -1)


keep("colour", colour)
keep("grey", grey)
filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
for name, kind in filters.items():
    for size in [(11, 9), (28, 22), (43, 31), (1, 1), (5, 40), (29, 7)]:
        keep(f"{name}_{size[0]}x{size[1]}", colour.resize(size, kind))
    keep(f"{name}_grey", grey.resize((13, 10), kind))
for degrees in [30, -100]:
    keep(f"rotate_{degrees}", colour.rotate(degrees, Image.Resampling.BILINEAR))
for name, kind in {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}.items():
    for factor in [0.4, 1.5]:
        keep(f"{name}_{factor}", kind(colour).enhance(factor))


def umeyama(source, target):
    """Umeyama 1991, equations 39 to 42: scale * rotation, and translation."""
    mean_s, mean_t = source.mean(0), target.mean(0)
    u, d, vt = numpy.linalg.svd((target - mean_t).T @ (source - mean_s) / len(source))
    sign = numpy.diag([1, numpy.sign(numpy.linalg.det(u) * numpy.linalg.det(vt))])
    matrix = u @ sign @ vt * (d * numpy.diag(sign)).sum() / ((source - mean_s) ** 2).sum() * len(source)
    return numpy.column_stack([matrix, mean_t - matrix @ mean_s])


for count in [2, 5]:
    for mirrored in [False, True]: # a mirrored figure is still turned, not mirrored
        a = r.normal(0, 20, (count, 2))
        b = (a * [-1, 1] if mirrored else a) @ [[1.1, 0.7], [-0.7, 1.1]] + [30, -12] + r.normal(0, 2, (count, 2))
        name = f"similarity_{count}{'_mirrored' if mirrored else ''}"
        store[f"{name}.from"], store[f"{name}.to"], store[f"{name}.fitted"] = a, b, umeyama(a, b)

common.save("images.safetensors", store)
