"""Known answers of the normalisations."""
import torch
import torch.nn.functional as F

import common
from common import first, last

torch.manual_seed(51)
store = {}


def case(name, fn, *inputs, **more):
    common.case(store, name, fn, *inputs, **more)


def affine(*shape):
    return torch.randn(shape), torch.randn(shape)


def batch(x, scale=None, shift=None, **options):
    return last(F.batch_norm(first(x), None, None, scale, shift, training=True, **options))


case("batch_norm", batch, torch.randn(3, 4, 5, 3), *affine(3))
case("batch_norm_plain", batch, torch.randn(7, 4))
case("batch_norm_wide", lambda *in_: batch(*in_, eps=0.01), torch.randn(2, 3, 70), *affine(70))
case("batch_norm_relu", lambda *in_: batch(*in_).relu(), torch.randn(3, 2, 3, 5, 4), *affine(4))
case("batch_norm_far", batch, 4096 + torch.randint(-8, 9, (11, 2, 3)) / 16, *affine(3))  # exact in float

running = [torch.randn(3), torch.rand(3) + 0.5]
x = torch.randn(4, 5, 3)
store["running.x"], store["running.mean_before"], store["running.var_before"] = x, running[0].clone(), running[1].clone()
for name, momentum in (("once", 0.1), ("twice", 0.3)):
    F.batch_norm(first(x), *running, training=True, momentum=momentum)
    store[f"running.mean_{name}"], store[f"running.var_{name}"] = running[0].clone(), running[1].clone()
case("batch_norm_evaluate",
     lambda x, scale, shift, mean, var: last(F.batch_norm(first(x), mean, var, scale, shift, eps=1e-3)).sigmoid(),
     x, *affine(3), *running, differentiate=(0, 1, 2))

case("layer_norm", lambda x, scale, shift: F.layer_norm(x, x.shape[-1:], scale, shift), torch.randn(3, 4, 19), *affine(19))
case("layer_norm_plain", lambda x: F.layer_norm(x, x.shape[-1:]), torch.randn(5, 6))
case("layer_norm_axes", lambda x, scale, shift: F.layer_norm(x, x.shape[-2:], scale, shift, eps=0.01).tanh(),
     torch.randn(3, 4, 5), *affine(4, 5))
for groups in (1, 2, 6):
    case(f"group_norm_{groups}", lambda x, scale, shift: last(F.group_norm(first(x), groups, scale, shift)),
         torch.randn(2, 3, 4, 6), *affine(6))
case("group_norm_flat", lambda x, scale, shift: F.group_norm(x, 2, scale, shift), torch.randn(3, 8), *affine(8))
case("instance_norm", lambda x, scale, shift: last(F.instance_norm(first(x), weight=scale, bias=shift)).relu(),
     torch.randn(2, 3, 4, 5), *affine(5))
case("instance_norm_plain", lambda x: last(F.instance_norm(first(x))), torch.randn(2, 30, 3))

case("lrn", lambda x: last(F.local_response_norm(first(x), 5)), torch.randn(2, 3, 2, 9))
case("lrn_strong", lambda x: last(F.local_response_norm(first(x), 5, alpha=2.0, k=0.5)), torch.randn(2, 3, 9))
case("lrn_even", lambda x: last(F.local_response_norm(first(x), 4, alpha=1.5, beta=0.5, k=2.0)), torch.randn(2, 3, 9))
case("lrn_wide", lambda x: last(F.local_response_norm(first(x), 9, alpha=3.0)), torch.randn(2, 3, 4))

for axis in range(3):
    case(f"l2_normalize_{axis}", lambda x: F.normalize(x, dim=axis), torch.randn(3, 5, 4))
case("l2_normalize_last", lambda x: F.normalize(x, dim=-1), torch.randn(6, 19) * 1e-4)

common.save("norm.safetensors", store)
