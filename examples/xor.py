"""Learning XOR from Python, through the shared library alone:  python3 xor.py [libtessera.so]"""
import ctypes
import sys
from ctypes import byref, c_double, c_float, c_int, c_int64, c_void_p

tsr = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libtessera.so")
Handle = type("Handle", (c_void_p,), {})  # a subclass, so that Python does not make a number of it
Shape = type("Shape", (ctypes.Structure,), {"_fields_": [("rank", c_int), ("dims", c_int64 * 8)]})
Scope = type("Scope", (ctypes.Structure,), {"_fields_": [("ctx", c_void_p), ("depth", c_int), ("ended", ctypes.c_bool)]})
for name in "open values model_new sgd nn_linear tanh bce_with_logits".split():
    getattr(tsr, "tsr_" + name).restype = Handle
tsr.tsr_scope_begin.restype, tsr.tsr_item.restype, tsr.tsr_error.restype = Scope, c_double, ctypes.c_char_p

ctx = tsr.tsr_open(None)
x = tsr.tsr_values(ctx, Shape(2, (4, 2)), (c_float * 8)(0, 0, 0, 1, 1, 0, 1, 1))
y = tsr.tsr_values(ctx, Shape(2, (4, 1)), (c_float * 4)(0, 1, 1, 0))
m = tsr.tsr_model_new(ctx)
opt = tsr.tsr_sgd(m, byref((c_double * 8)(1.0)))  # tsr_sgd_options: lr comes first, and zeroes mean the defaults
for step in range(300):
    scope = tsr.tsr_scope_begin(ctx, False)
    h = tsr.tsr_tanh(tsr.tsr_nn_linear(m, b"hidden", x, c_int64(16), None))
    loss = tsr.tsr_bce_with_logits(tsr.tsr_nn_linear(m, b"out", h, c_int64(1), None), y)
    tsr.tsr_backward(loss)
    tsr.tsr_step(opt)
    if step % 50 == 0 or step == 299:
        print(f"{step:4}  {tsr.tsr_item(loss):.5f}")
    tsr.tsr_scope_end(byref(scope))
sys.exit(tsr.tsr_error(ctx).decode() if tsr.tsr_error(ctx) else tsr.tsr_close(ctx))
