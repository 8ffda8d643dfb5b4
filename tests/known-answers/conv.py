"""Convolutions against torch.nn.functional. Weights are stored as [K..., I / groups, O], PyTorch's are
[O, I / groups, K...] (conv) and [I, O / groups, K...] (conv_transpose). Padding that differs at the two ends is done by
padding first or cutting afterwards."""
import torch
import torch.nn.functional as F

from common import case, first, last, save

torch.manual_seed(7)
store = {}
r = torch.randn
CONV = [None, F.conv1d, F.conv2d, F.conv3d]
BACK = [None, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]


def theirs(w):
    """[K..., A, B] to [B, A, K...]."""
    return w.movedim((-1, -2), (0, 1))


def ends(before, after):
    """Padding as F.pad wants it, last axis first."""
    return [p for pair in zip(reversed(before), reversed(after)) for p in pair]


# name: input shape, kernel, output channels, stride, padding, padding_end, dilation, groups, activation.
# test_conv.c has the same table.
same = lambda y: y
CONVS = {
    "plain": ((1, 4, 5, 8), (3, 3), 3, (1, 1), (0, 0), (0, 0), (1, 1), 1, same),
    "same_relu": ((2, 3, 4, 2), (3, 3), 9, (1, 1), (1, 1), (1, 1), (1, 1), 1, torch.relu),
    "first_layer": ((1, 8, 7, 3), (5, 3), 4, (2, 2), (2, 1), (2, 1), (1, 1), 1, torch.tanh),
    "uneven": ((1, 6, 7, 2), (3, 4), 5, (2, 3), (2, 0), (0, 3), (1, 1), 1, torch.sigmoid),
    "dilated": ((1, 6, 5, 8), (3, 2), 2, (1, 1), (2, 1), (2, 1), (2, 3), 1, same),
    "dilated_stride": ((1, 7, 6, 8), (4, 3), 1, (2, 4), (3, 2), (3, 2), (3, 2), 1, same),
    "grouped": ((1, 4, 5, 16), (3, 2), 4, (1, 2), (1, 1), (1, 1), (1, 1), 2, torch.relu),
    "grouped_few": ((2, 4, 3, 6), (3, 2), 3, (2, 1), (1, 1), (1, 1), (1, 1), 3, same),
    "depthwise": ((1, 6, 5, 5), (3, 3), 5, (1, 2), (1, 2), (1, 2), (2, 1), 5, torch.relu),
    "depthwise_two": ((1, 5, 4, 3), (2, 3), 6, (2, 1), (0, 1), (0, 1), (1, 1), 3, same),
    "pointwise": ((2, 3, 4, 9), (1, 1), 7, (1, 1), (0, 0), (0, 0), (1, 1), 1, torch.relu),
    "pointwise_stride": ((2, 5, 4, 9), (1, 1), 3, (2, 2), (0, 0), (0, 0), (1, 1), 1, same),
    "whole": ((2, 2, 3, 8), (2, 3), 3, (1, 1), (0, 0), (0, 0), (1, 1), 1, same),
    "far_padding": ((1, 2, 3, 8), (2, 2), 2, (3, 2), (4, 5), (4, 5), (1, 1), 1, same),
    "signal": ((2, 13, 4), (5,), 6, (2,), (2,), (1,), (1,), 1, torch.relu),
    "signal_wide": ((2, 9, 9), (3,), 4, (3,), (1,), (1,), (2,), 1, same),
    "volume": ((1, 3, 4, 3, 1), (3, 2, 3), 3, (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1, same),
    "volume_stride": ((1, 3, 2, 4, 8), (2, 2, 3), 2, (2, 1, 2), (0, 1, 1), (1, 1, 0), (1, 1, 1), 1, torch.tanh),
}
for name, (shape, kernel, out, stride, before, after, dilation, groups, activation) in CONVS.items():
    conv = CONV[len(kernel)]

    def run(x, w, b):
        x = F.pad(first(x), ends(before, after))
        return activation(last(conv(x, theirs(w), b, stride, 0, dilation, groups)))

    case(store, f"conv_{name}", run, r(shape), r(*kernel, shape[-1] // groups, out) / 3, r(out))
case(store, "conv_no_bias", lambda x, w: last(F.conv2d(first(x), theirs(w))), r(1, 4, 4, 3), r(2, 3, 3, 4))

# name: input shape, kernel, output channels, stride, padding, padding_end, output_padding, dilation, groups,
# activation.
BACKS = {
    "plain": ((1, 3, 4, 2), (3, 3), 8, (1, 1), (0, 0), (0, 0), (0, 0), (1, 1), 1, same),
    "double": ((1, 3, 2, 2), (4, 4), 8, (2, 2), (1, 1), (1, 1), (0, 0), (1, 1), 1, torch.relu),
    "tiles": ((1, 2, 3, 3), (2, 2), 8, (2, 2), (0, 0), (0, 0), (0, 0), (1, 1), 1, torch.tanh),
    "to_image": ((1, 3, 4, 4), (4, 3), 3, (2, 3), (1, 0), (1, 0), (0, 1), (1, 1), 1, torch.sigmoid),
    "gaps": ((1, 2, 3, 3), (2, 1), 8, (3, 2), (0, 0), (0, 0), (1, 1), (1, 1), 1, torch.relu),
    "uneven": ((1, 3, 4, 2), (4, 3), 8, (2, 2), (2, 0), (1, 2), (0, 1), (1, 1), 1, same),
    "dilated": ((1, 2, 3, 2), (3, 2), 8, (2, 1), (1, 0), (1, 0), (1, 0), (3, 2), 1, same),
    "grouped": ((1, 2, 3, 4), (3, 2), 16, (2, 1), (1, 1), (1, 1), (1, 0), (1, 1), 2, torch.relu),
    "depthwise": ((1, 3, 4, 4), (3, 3), 4, (2, 2), (1, 0), (1, 0), (0, 1), (1, 1), 4, torch.relu),
    "signal": ((2, 4, 3), (5,), 8, (3,), (1,), (2,), (0,), (1,), 1, same),
    "volume": ((1, 2, 3, 3, 2), (3, 2, 3), 2, (2, 1, 2), (1, 0, 1), (1, 0, 1), (1, 0, 0), (1, 1, 1), 1, same),
}
for name, (shape, kernel, out, stride, before, after, extra, dilation, groups, activation) in BACKS.items():
    conv = BACK[len(kernel)]

    def run(x, w, b):
        y = last(conv(first(x), theirs(w), b, stride, 0, extra, groups, dilation))
        for axis, (begin, end) in enumerate(zip(before, after), 1):
            y = y.narrow(axis, begin, y.shape[axis] - begin - end)
        return activation(y)

    case(store, f"transpose_{name}", run, r(shape), r(*kernel, out // groups, shape[-1]) / 3, r(out))


def local(x, w, b, stride, before, after):
    """x [N, H, W, I], w [H', W', KH, KW, I, O]."""
    x = F.pad(first(x), ends(before, after))
    patches = x.unfold(2, w.shape[2], stride[0]).unfold(3, w.shape[3], stride[1])
    y = torch.einsum("nchwij,hwijco->nhwo", patches, w)
    return y if b is None else y + b


def local_case(name, shape, kernel, out, stride, before, after, activation=same, bias=True):
    h, w = [(shape[i + 1] + before[i] + after[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    inputs = [r(shape), r(h, w, *kernel, shape[-1], out) / 3] + ([r(h, w, out)] if bias else [])
    case(store, f"local_{name}", lambda x, w, b=None: activation(local(x, w, b, stride, before, after)), *inputs)


local_case("plain", (3, 4, 3, 3), (3, 2), 4, (1, 1), (0, 0), (0, 0))
local_case("stride_relu", (2, 5, 4, 2), (3, 3), 3, (2, 2), (1, 1), (1, 1), torch.relu)
local_case("uneven", (2, 4, 5, 2), (2, 4), 2, (3, 1), (2, 0), (0, 3), torch.tanh)
local_case("no_bias", (7, 2, 3, 1), (2, 2), 2, (1, 1), (0, 0), (0, 0), bias=False)

# Large enough for Winograd's transforms; last, so that the other cases keep their numbers.
case(store, "conv_winograd", lambda x, w, b: torch.relu(last(F.conv2d(first(x), theirs(w), b, 1, 1))), r(1, 8, 7, 16),
     r(3, 3, 16, 17) / 3, r(17))
save("conv.safetensors", store)
