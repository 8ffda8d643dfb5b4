"""Pooling against torch.nn.functional. Padding that differs at the two ends is done by padding first."""
import torch
import torch.nn.functional as F

import common
from common import case, first, last

torch.manual_seed(6)
store = {}
r = torch.randn
MAX = [None, F.max_pool1d, F.max_pool2d, F.max_pool3d]
AVG = [None, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d]

# name: input shape, kernel, stride, padding, ceil_mode. test_pool.c has the same table.
GEOMETRIES = {
    "halves": ((2, 4, 4, 2), (2, 2), (2, 2), (0, 0), False),
    "overlap": ((1, 7, 6, 2), (3, 3), (2, 2), (1, 1), False),
    "overlap_ceil": ((1, 6, 8, 1), (3, 3), (2, 2), (1, 1), True),
    "gaps": ((1, 8, 7, 1), (2, 1), (3, 2), (0, 0), False),
    "ceil_left_over": ((1, 5, 4, 2), (2, 3), (2, 3), (0, 0), True),
    "ceil_dropped": ((1, 3, 5, 1), (2, 2), (2, 4), (1, 1), True),
    "wide": ((1, 1, 2, 129), (1, 2), (1, 1), (0, 1), False),
    "signal": ((2, 9, 2), (4,), (3,), (2,), True),
    "volume": ((1, 4, 3, 5, 1), (2, 3, 3), (1, 2, 2), (1, 1, 0), False),
}
for name, (shape, kernel, stride, padding, ceil) in GEOMETRIES.items():
    n = len(kernel)
    case(store, f"max_{name}", lambda x: last(MAX[n](first(x), kernel, stride, padding, 1, ceil)), r(shape))
    for what, include in (("avg", True), ("avg_inside", False)):
        case(store, f"{what}_{name}", lambda x: last(AVG[n](first(x), kernel, stride, padding, ceil, include)), r(shape))
    x = r(shape)
    y, indices = MAX[n](first(x).contiguous(), kernel, stride, padding, 1, ceil, return_indices=True)
    store[f"indices_{name}.in0"], store[f"indices_{name}.out"] = x, last(indices).double()


def ends(x, *pads, value=0.0):
    return F.pad(first(x), pads, value=value)


case(store, "max_uneven", lambda x: last(F.max_pool2d(ends(x, 2, 0, 0, 1, value=-1e30), 3, 2)), r(1, 6, 7, 2))
case(store, "avg_uneven", lambda x: last(F.avg_pool2d(ends(x, 2, 0, 0, 1), 3, 2)), r(1, 6, 7, 2))

for power in (1, 2, 3):
    case(store, f"lp_{power}", lambda x: last(F.lp_pool2d(first(x), power, (2, 3), (1, 2))), r(1, 4, 5, 2).abs() + 0.01)
case(store, "lp_signs", lambda x: last(F.lp_pool2d(first(x), 2, 2)), r(1, 4, 5, 2))
case(store, "lp_signal", lambda x: last(F.lp_pool1d(first(x), 2.5, 3, 2)), r(2, 7, 2).abs() + 0.01)

for n, (shape, size) in enumerate([((2, 7, 3), (3,)), ((2, 5, 7, 3), (3, 4)), ((1, 3, 4, 5, 2), (2, 5, 3))], 1):
    avg = [F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d][n - 1]
    largest = [F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d][n - 1]
    case(store, f"adaptive_avg_{n}", lambda x: last(avg(first(x), size)), r(shape))
    case(store, f"adaptive_max_{n}", lambda x: last(largest(first(x), size)), r(shape))
case(store, "adaptive_avg_global", lambda x: last(F.adaptive_avg_pool2d(first(x), 1)), r(2, 3, 4, 5))

x = r(2, 4, 6, 2)
y, indices = F.max_pool2d(first(x).contiguous(), 2, return_indices=True)
case(store, "unpool", lambda y, i: last(F.max_unpool2d(first(y).contiguous(), first(i).long().contiguous(), 2)),
     last(y), last(indices).double(), differentiate=[0])

common.save("pool.safetensors", store)
