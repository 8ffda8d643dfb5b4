/* Activations of values that a product has just left in the cache, by the compiler's vectors. */

LEVEL_TARGET static void LEVEL_JOIN(LEVEL, _activate)(tsr_activation activation, tsr_real *values, int64_t count)
{
    switch (activation) {
    case TSR_NO_ACTIVATION: break;
    case TSR_RELU:
        for (int64_t i = 0; i < count; i++) values[i] = values[i] < 0 ? 0 : values[i]; /* NaN stays */
        break;
    case TSR_SIGMOID:
        for (int64_t i = 0; i < count; i++) values[i] = tsr_sigmoid_of(values[i]);
        break;
    case TSR_TANH:
        for (int64_t i = 0; i < count; i++) values[i] = tsr_tanh_of(values[i]);
        break;
    }
}
