"""Shape ops, padding and upsampling against torch."""
import torch
import torch.nn.functional as F

import common
from common import case, first, last

torch.manual_seed(5)
store = {}
r = torch.randn

case(store, "reshape", lambda x: x.reshape(4, 6), r(2, 3, 4))
case(store, "permute", lambda x: x.permute(2, 0, 3, 1), r(2, 3, 4, 5))
case(store, "permute_images", lambda x: x.permute(0, 3, 1, 2), r(2, 5, 7, 3))
case(store, "transpose", lambda x: x.transpose(0, 2), r(3, 2, 40))
case(store, "concat", lambda a, b, c: torch.cat([a, b, c], 1), r(2, 3, 4), r(2, 1, 4), r(2, 2, 4))
case(store, "concat_channels", lambda a, b: torch.cat([a, b], -1), r(2, 3, 3), r(2, 3, 1))
case(store, "slice", lambda x: x[:, 1:-1], r(2, 5, 3))
case(store, "slice_last", lambda x: x[..., 2:], r(2, 3, 4))
case(store, "split", lambda x: (lambda a, b, c: a * b - c)(*x.chunk(3, 1)), r(2, 6, 2))
case(store, "expand", lambda x: x.expand(2, 3, 4, 5), r(3, 1, 5))
case(store, "flip", lambda x: x.flip(1), r(2, 5, 3))
indices = torch.tensor([[3.0, 0.0, 3.0], [1.0, 3.0, 0.0]])
case(store, "gather_rows", lambda x, i: x[i.long()], r(4, 3), indices, differentiate=[0])

for mode in ("constant", "reflect", "replicate"):
    value = {"value": 1.5} if mode == "constant" else {}
    case(store, f"pad_{mode}", lambda x: last(F.pad(first(x), (1, 2, 2, 0), mode=mode, **value)), r(2, 4, 3, 2))
    case(store, f"pad_{mode}_signal", lambda x: last(F.pad(first(x), (4, 3), mode=mode, **value)), r(1, 5, 2))
case(store, "pad_constant_everywhere", lambda x: F.pad(x, (1, 0, 0, 2, 1, 1), value=-0.5), r(2, 3, 2))

for mode, linear in (("nearest", ["nearest"] * 3), ("linear", ["linear", "bilinear", "trilinear"])):
    def up(x, size):
        return last(F.interpolate(first(x), size=size, mode=linear[len(size) - 1]))
    case(store, f"upsample_{mode}_signal", lambda x: up(x, (11,)), r(2, 4, 2))
    case(store, f"upsample_{mode}_up", lambda x: up(x, (7, 8)), r(2, 3, 4, 3))
    case(store, f"upsample_{mode}_wide", lambda x: up(x, (2, 3)), r(1, 1, 2, 70))
    case(store, f"upsample_{mode}_down", lambda x: up(x, (3, 2)), r(1, 7, 5, 2))
    case(store, f"upsample_{mode}_volume", lambda x: up(x, (4, 3, 5)), r(1, 2, 4, 3, 2))
    case(store, f"upsample_{mode}_one", lambda x: up(x, (3, 1)), r(1, 1, 4, 2))

common.save("shape.safetensors", store)
