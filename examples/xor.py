"""Learning XOR from Python, through the shared library and nothing else:  python3 xor.py [libtessera.so]"""
import ctypes
import sys

tsr = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libtessera.so")


class Shape(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_int), ("dims", ctypes.c_int64 * 8)]


def values(ctx, dims, numbers):
    shape = Shape(len(dims), (ctypes.c_int64 * 8)(*dims))
    return call("tsr_values", ctx, shape, (ctypes.c_float * len(numbers))(*numbers))


def call(name, *arguments, returns=ctypes.c_void_p):
    function = getattr(tsr, name)
    function.restype = returns
    return function(*[ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments])


def mlp(m, x):
    x = call("tsr_tanh", call("tsr_nn_linear", m, b"hidden", x, ctypes.c_int64(16), None))
    return call("tsr_nn_linear", m, b"out", x, ctypes.c_int64(1), None)
