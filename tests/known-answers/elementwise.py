"""Known answers of what is computed element by element."""
import torch
from torch.nn import functional as F

import common

torch.manual_seed(21)
store = {}


def case(name, fn, *inputs, **more):
    common.case(store, name, fn, *inputs, **more)


def randn(*shape):
    return torch.randn(*shape)


def positive(*shape):
    return torch.rand(*shape) + 0.25


# two inputs: the same shape, a trailing block, crossed, longer than a block of our loops
for name, fn in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "maximum": torch.maximum,
                 "minimum": torch.minimum}.items():
    case(name, fn, randn(3, 4), randn(3, 4))
    case(name + "_row", fn, randn(2, 3, 4), randn(4))
    case(name + "_crossed", fn, randn(2, 1, 5), randn(3, 1))
case("mul_long", torch.mul, randn(2, 1), randn(1050), gradients=False)
case("div", torch.div, randn(3, 4), positive(3, 4))
case("div_crossed", torch.div, randn(4, 1), positive(2, 1, 3))
case("pow", torch.pow, positive(3, 4), randn(3, 4))
case("pow_row", torch.pow, positive(2, 3, 4), randn(4))
case("pow_edges", torch.pow, torch.tensor([0., 0., 0., -2., -2., 3., 0.5]),
     torch.tensor([1., 2., 0., 2., -3., 0., -2.]),
     differentiate=[0])
case("pow_of_zero", torch.pow, torch.tensor([0., 0., 2.]), torch.tensor([1., 2.5, 0.]))
case("where", lambda c, a, b: torch.where(c != 0, a, b), torch.randint(0, 2, (3, 4)).double(), randn(3, 1), randn(4),
     differentiate=[1, 2])
case("maximum_ties", torch.maximum, torch.tensor([1., 2., -1.]), torch.tensor([1., 3., -1.]))

# one input: a spread of sizes, and values far out
spread = torch.cat([randn(20) * 3,
                    torch.tensor([0.3, -0.3, 0.62, 0.63, -0.62, 1e-6, -1e-6, 9., -9., 15., -15., 30., -30.])])
far = torch.tensor([-1000., -80., -20., 20., 80., 1000.])
for name, fn in {
    "add_scalar": lambda x: x - 1.5,
    "mul_scalar": lambda x: x * -1.5,
    "neg": torch.neg,
    "abs": torch.abs,
    "square": torch.square,
    "sin": torch.sin,
    "cos": torch.cos,
    "clamp": lambda x: x.clamp(-0.5, 2),
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": lambda x: F.elu(x, 1.3),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
}.items():
    case(name, fn, spread)
case("exp", torch.exp, randn(30) * 2)
case("sqrt", torch.sqrt, positive(12))
case("log", torch.log, positive(12))
case("pow_scalar", lambda x: x ** 2.5, positive(12))
case("pow_scalar_whole", lambda x: x ** 3, randn(12))
for name, fn in {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": F.softplus, "elu": F.elu, "silu": F.silu,
                 "gelu": F.gelu}.items():
    # in float 1 - sigmoid(20) is 0, and its gradient with it
    case(name + "_far", fn, far, gradients=name != "sigmoid")

case("prelu", lambda x, s: common.last(F.prelu(common.first(x), s)), randn(2, 3, 4, 5), randn(5))
case("prelu_one", lambda x, s: common.last(F.prelu(common.first(x), s)), randn(2, 6, 5), randn(1))
case("maxout", lambda x: x.unflatten(-1, (-1, 3)).amax(-1), randn(2, 5, 12))

common.save("elementwise.safetensors", store)
