"""Known answers of the products: matmul, linear, Gram matrices, squared distances."""
import torch

import common

torch.manual_seed(20)
store = {}


def randn(*shape):
    return torch.randn(*shape)


common.case(store, "matmul", torch.matmul, randn(7, 9), randn(9, 11))
common.case(store, "matmul_a_transposed", lambda a, b: a.mT @ b, randn(9, 7), randn(9, 4))
common.case(store, "matmul_b_transposed", lambda a, b: a @ b.mT, randn(7, 9), randn(4, 9))
common.case(store, "matmul_both_transposed", lambda a, b: a.mT @ b.mT, randn(2, 9, 7), randn(2, 4, 9))
common.case(store, "matmul_shared_right", torch.matmul, randn(2, 3, 4, 5), randn(5, 6))
common.case(store, "matmul_shared_left", torch.matmul, randn(4, 5), randn(3, 5, 6))
common.case(store, "matmul_crossed", torch.matmul, randn(2, 1, 4, 5), randn(3, 5, 2))
common.case(store, "matmul_deep", torch.matmul, randn(2, 300), randn(300, 3))


def linear(activation):
    return lambda x, w, b: activation(torch.nn.functional.linear(x, w.t(), b))


common.case(store, "linear", linear(lambda y: y), randn(6, 5), randn(5, 19), randn(19))
common.case(store, "linear_relu", linear(torch.relu), randn(2, 3, 5), randn(5, 7), randn(7))
common.case(store, "linear_sigmoid", linear(torch.sigmoid), randn(6, 5), randn(5, 7), randn(7))
common.case(store, "linear_tanh", linear(torch.tanh), randn(6, 5), randn(5, 7), randn(7))
common.case(store, "linear_no_bias", lambda x, w: x @ w, randn(40, 5), randn(5, 3))


def gram(scale):
    def compute(x):
        rows = x.flatten(1, -2)
        return torch.bmm(rows.mT, rows) * (1 / (rows.shape[1] * rows.shape[2]) if scale is None else scale)

    return compute


common.case(store, "gram", gram(None), randn(2, 4, 5, 6))
common.case(store, "gram_gatys", gram(1), randn(1, 4, 5, 6))

common.case(store, "distance", lambda a, b: ((a[:, None] - b[None]) ** 2).sum(-1), randn(6, 5), randn(9, 5))

common.save("matmul.safetensors", store)
