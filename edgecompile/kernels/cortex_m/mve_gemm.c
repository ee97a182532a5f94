/* Matrix product: its rows are pixels. */

#include "mve.h"

SHARED int32_t edgecompile_gemm_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                   const edgecompile_gemm_geometry* g, int8_t* y, void* workspace) {
  product_job job = edgecompile_mve_products(w, q, y, g->depth, g->columns, g->columns, &g->output);
  edgecompile_mve_multiply_in_place(&job, x, g->depth, g->rows, x + g->rows * g->depth, workspace);
  return 0;
}
