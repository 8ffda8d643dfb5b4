/* Products that are a few tiles: no workspace, no plan, no threads. Factors are read where they lie, if they can be. */
#include "core/kernels/pack.h"

void tsr_tile_beside(void (*kernel)(const tsr_tile *), int width, tsr_tile *tile, int64_t column_step,
                     bool bias_by_rows)
{
    _Alignas(64) tsr_real local[TSR_MAX_TILE_AREA];
    tsr_real *const home = tile->c;
    const int64_t row_step = tile->stride;
    tile->c = local;
    tile->stride = width;
    if (tile->accumulate || tile->bias) /* what is there and the bias come first, then the sums */
        for (int i = 0; i < tile->rows; i++)
            for (int j = 0; j < width; j++) {
                tsr_real v = 0;
                if (j < tile->columns && tile->accumulate) v = home[i * row_step + j * column_step];
                if (j < tile->columns && tile->bias) v += tile->bias[bias_by_rows ? i : j];
                local[i * width + j] = v;
            }
    tile->accumulate = tile->accumulate || tile->bias;
    tile->bias = NULL;
    kernel(tile);
    for (int i = 0; i < tile->rows; i++)
        for (int j = 0; j < tile->columns; j++) home[i * row_step + j * column_step] = local[i * width + j];
}

bool tsr_product_is_small(const tsr_product *p)
{
    enum { MOST_SIDE = 1 << 14, MOST_WORK = 1 << 15 };
    return p->depth > 0 && p->depth <= TSR_DEPTH_BLOCK && p->rows <= MOST_SIDE && p->columns <= MOST_SIDE &&
           p->rows * p->columns * p->depth <= MOST_WORK;
}

void tsr_multiply_small(const tsr_kernels *kernels, const tsr_product *p)
{
    _Alignas(64) tsr_real a_panel[TSR_MAX_TILE * TSR_DEPTH_BLOCK], b_panel[TSR_MAX_TILE * TSR_DEPTH_BLOCK];
    const bool turned = p->columns == 1 && p->stride == 1 && !p->bias; /* one column is one row */
    const tsr_factor *left = turned ? &p->right : &p->left, *right = turned ? &p->left : &p->right;
    const int64_t rows = turned ? 1 : p->rows, columns = turned ? p->rows : p->columns;
    const int height = kernels->tile_rows, width = kernels->tile_columns;
    tsr_tile tile; /* its fields one by one: zeroing it first would take as long as a tile of XOR */
    tile.depth = p->depth;
    tile.a_row = left->row_stride;
    tile.a_step = left->depth_stride;
    tile.b_copy = NULL;
    tile.ahead = b_panel;
    tile.ahead_step = 0;
    tile.activation = p->activation;
    for (int64_t j = 0; j < columns; j += width) {
        tile.columns = columns - j < width ? (int)(columns - j) : width;
        tile.b = right->data + j;
        tile.b_step = right->depth_stride;
        if (tile.columns < width || right->pack || right->row_stride != 1) {
            tsr_pack(right, &(tsr_block_of){.row = j, .rows = tile.columns, .depth = p->depth, .tile = width}, b_panel);
            tile.b = b_panel;
            tile.b_step = width;
        }
        for (int64_t i = 0; i < rows; i += height) {
            tile.rows = rows - i < height ? (int)(rows - i) : height;
            tile.a = left->data + i * left->row_stride;
            if (left->pack) {
                const tsr_block_of block = {.row = i, .rows = tile.rows, .depth = p->depth, .tile = height};
                tsr_pack(left, &block, a_panel);
                tile.a = a_panel;
                tile.a_row = 1;
                tile.a_step = height;
            }
            tile.c = p->out + i * p->stride + j;
            tile.stride = p->stride;
            tile.bias = p->bias ? p->bias + j : NULL;
            tile.accumulate = p->accumulate;
            if (tile.columns < width) tsr_tile_beside(kernels->tile, width, &tile, 1, false);
            else kernels->tile(&tile);
        }
    }
}
