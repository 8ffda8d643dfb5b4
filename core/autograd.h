/* Reverse-mode differentiation: the tape, and the one struct that defines an op.
 *
 * Ops compute at once and, where an input needs a gradient, record a node. tsr_backward walks the nodes in reverse
 * order of creation; a gradient that arrives twice adds up. */
#ifndef TESSERA_CORE_AUTOGRAD_H
#define TESSERA_CORE_AUTOGRAD_H

#include "core/tensor.h"

/* ---- for those who differentiate ------------------------------------------------------------------------------- */

/* Adds d loss / d p to the gradient of every parameter and watched tensor p that `loss` (one value) depends on.
 * Gradients of intermediates return to the pool as soon as they are used. Returns false after an error: more than one
 * value, nothing to differentiate, a second pass over the same graph, a value changed since it was recorded. */
bool tsr_backward(tsr_tensor *loss);

/* The same, and gives each activation back at its last use: reading a tensor of this graph afterwards is an error. */
bool tsr_backward_releasing(tsr_tensor *loss);

/* Starts from d L / d y = `cotangent`, which has the shape of y. */
bool tsr_backward_from(tsr_tensor *y, tsr_tensor *cotangent);

/* The same, but each ReLU hands down what arrives at it where that is positive, wherever it let its own input through:
 * with the switches of max pooling and the transposed filters of convolution, which are in their gradients anyway, the
 * deconvnet of Zeiler and Fergus 2014, section 2.1. What gathers in the input is the reconstruction. */
bool tsr_deconvnet_from(tsr_tensor *y, tsr_tensor *cotangent);

/* Makes a tensor that no op computed (data) want a gradient; returns it. */
tsr_tensor *tsr_watch(tsr_tensor *t);

/* Asks that the gradient of an intermediate stay after the backward pass. Returns t. */
tsr_tensor *tsr_retain_grad(tsr_tensor *t);

/* The gradient gathered so far, with t's shape, in the current scope; NULL if there is none. */
tsr_tensor *tsr_grad(tsr_tensor *t);
void tsr_zero_grad(tsr_tensor *t);

/* The same values, without history: a constant for everything computed from it. */
tsr_tensor *tsr_detach(tsr_tensor *t);

bool tsr_needs_grad(const tsr_tensor *t);

/* ---- for those who write an op --------------------------------------------------------------------------------- */

/* A forward function reads
 *
 *     tsr_tensor *tsr_square(tsr_tensor *x)
 *     {
 *         tsr_node *n = tsr_begin(&square_op, TSR_INPUTS(x));
 *         tsr_real *y = tsr_output(n, tsr_shape_of(x));
 *         const tsr_real *from = tsr_data(x);
 *         for (int64_t i = 0; y && i < tsr_size(x); i++) y[i] = from[i] * from[i];
 *         return tsr_end(n);
 *     }
 * and its backward
 *     static void square_backward(tsr_node *n)
 *     {
 *         const tsr_real *x = tsr_data(tsr_input(n, 0)), *g = tsr_data(tsr_cotangent(n));
 *         tsr_real *gx = tsr_gradient(n, 0);
 *         for (int64_t i = 0; gx && i < tsr_size(tsr_input(n, 0)); i++) gx[i] = 2 * x[i] * g[i];
 *     }
 *     static const tsr_op square_op = {.name = "square", .backward = square_backward};
 */
typedef struct tsr_node tsr_node;

typedef struct tsr_op {
    const char *name;                 /* begins every message about it */
    void (*backward)(tsr_node *node); /* NULL: no gradient passes */
    unsigned optional;                /* bit i: input i may be NULL ("left out") */
} tsr_op;

#define TSR_INPUTS(...) (int)(sizeof((tsr_tensor *[]){__VA_ARGS__}) / sizeof(tsr_tensor *)), (tsr_tensor *[]){__VA_ARGS__}

/* Opens a call of `op`. Never NULL: after an error (a stuck one, a NULL input that is not optional, inputs of two
 * contexts) the node is dead, and every function below does nothing with it. */
tsr_node *tsr_begin(const tsr_op *op, int count, tsr_tensor *const *inputs);
bool tsr_dead(const tsr_node *n);

/* Makes an error of "NAME: " and the message stick, drops the node, returns the error tensor:
 * `return tsr_reject(...)`. */
#if defined(__GNUC__)
__attribute__((cold, format(printf, 2, 3)))
#endif
tsr_tensor *tsr_reject(tsr_node *n, const char *format, ...);

/* Makes the result, values not set, and returns where they go; NULL if dead or out of memory (the node is
 * then dead). */
tsr_real *tsr_output(tsr_node *n, tsr_shape shape);

/* Makes the result a view: the values of input `i` under another shape of the same size. */
void tsr_output_view(tsr_node *n, int i, tsr_shape shape);

/* Closes the call: records the node where a gradient is wanted, else drops it; returns the result. */
tsr_tensor *tsr_end(tsr_node *n);

/* Memory that stays with the node, zeroed; tsr_saved returns the first piece. NULL if dead or out of memory. */
void *tsr_save(tsr_node *n, size_t bytes);
void *tsr_saved(const tsr_node *n);

/* Memory until this call, or this node's backward, is over; not zeroed. NULL if dead or out of memory. */
void *tsr_scratch(tsr_node *n, size_t bytes);

/* Whether the gradient of input `i` is wanted (forward: will be). For i == -1: of any input, so the node
 * is recorded. */
bool tsr_wants(const tsr_node *n, int i);

/* What the op did, for the profiler and the summary: multiply-adds of this call. */
void tsr_count_work(tsr_node *n, double multiply_adds);

tsr_context *tsr_node_context(const tsr_node *n);
int tsr_input_count(const tsr_node *n);
tsr_tensor *tsr_input(const tsr_node *n, int i);  /* NULL if left out */
tsr_tensor *tsr_result(const tsr_node *n);

/* In a backward function: the gradient that arrives, with the result's shape. */
tsr_tensor *tsr_cotangent(tsr_node *n);

/* In a backward function: where the gradient of input `i` goes, size as the input, values not set: write all of them.
 * It is added to what has gathered once the function returns. NULL when it is not wanted or out of memory. */
tsr_real *tsr_gradient(tsr_node *n, int i);

/* In a backward function: adds `g`, of the input's shape, to the gradient of input `i`, for gradients that are made by
 * calling ops (recording is off there); does nothing where it is not wanted. */
void tsr_accumulate(tsr_node *n, int i, tsr_tensor *g);

/* ---- for those who doubt --------------------------------------------------------------------------------------- */

typedef tsr_tensor *(*tsr_function)(tsr_tensor *const *inputs);

typedef struct tsr_gradcheck_report {
    double max_error;       /* worst |analytic - numeric| over the larger of the two, or of 1 % of that input's largest */
    int worst_input;        /* where it is: input, */
    int64_t worst_index;    /* and element of it */
    double analytic, numeric;
    double max_gradient;    /* largest |numeric| of all: near 0, the check has proven nothing */
    int64_t checked;        /* elements compared; 0 after an error (see tsr_error) */
} tsr_gradcheck_report;

/* Compares the gradients of fn with central differences, along a random cotangent, signed, for every element of every
 * input (of the watched ones only, if any is watched). Also holds that a gradient is the same when no other input wants
 * one, and that two uses add up. Build with TSR_DOUBLE: expect errors below 1e-6; with float about 1e-2. Keep the
 * inputs away from kinks. */
tsr_gradcheck_report tsr_gradcheck(tsr_function fn, tsr_tensor *const *inputs, int count);

#endif
