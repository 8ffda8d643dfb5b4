"""Known answers of reductions and softmax."""
import torch

import common

torch.manual_seed(22)
store = {}


def case(name, fn, *inputs, **more):
    common.case(store, name, fn, *inputs, **more)


ways = {"all": (0, 1, 2, 3), "last": (3,), "first": (0,), "middle": (1, 2), "scattered": (0, 2)}
for way, axes in ways.items():
    x = torch.randn(2, 3, 2, 4)
    case("sum_" + way, lambda x: x.sum(axes), x)
    case("mean_" + way, lambda x: x.mean(axes), x)
    case("max_" + way, lambda x: x.amax(axes), x)
    case("min_" + way, lambda x: x.amin(axes), x)
    case("var_" + way, lambda x: x.var(axes, unbiased=True), x)
    case("logsumexp_" + way, lambda x: x.logsumexp(axes), x)
    case("norm_" + way, lambda x: torch.linalg.vector_norm(x, 2, axes), x)
case("sum_keep", lambda x: x.sum((1,), keepdim=True), torch.randn(3, 4, 2))
case("var_population", lambda x: x.var(1, unbiased=False), torch.randn(3, 7))
case("var_far", lambda x: x.var(1, unbiased=True), 4096 + torch.randint(-8, 9, (3, 9)) / 16)  # exact in float
case("norm_1", lambda x: torch.linalg.vector_norm(x, 1, 1), torch.randn(3, 7))
case("norm_3", lambda x: torch.linalg.vector_norm(x, 3, 1), torch.randn(3, 7))
case("sum_long", lambda x: x.sum(0), torch.randn(350, 3), gradients=False)  # longer than a block of our loops
case("norm_long", lambda x: torch.linalg.vector_norm(x, 2, 1), torch.randn(1, 1100), gradients=False)

x = torch.randn(3, 5, 4)
for axis in range(3):
    case(f"softmax_{axis}", lambda x: x.softmax(axis), x)
    case(f"log_softmax_{axis}", lambda x: x.log_softmax(axis), x)
    case(f"argmax_{axis}", lambda x: x.argmax(axis).double(), x, gradients=False)
far = torch.tensor([[1e30, -1e30, 0.], [-1e30, -1e30, -1e30], [1000., 999., -1000.], [-5., -torch.inf, -6.]])
case("softmax_far", lambda x: x.softmax(1), far)
# not the second row, of which PyTorch gives each value the whole gradient instead of a third
case("logsumexp_far", lambda x: x.logsumexp(1), far[[0, 2, 3]])
case("log_softmax_far", lambda x: x.log_softmax(1), far[:3])

common.save("reduce.safetensors", store)
