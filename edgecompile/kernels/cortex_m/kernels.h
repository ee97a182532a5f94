/* Integer kernels for Cortex-M: one call computes one layer. No malloc, no globals, re-entrant.

   Activations are int8, NHWC. The input's zero point is folded into the bias, so a kernel sums x * w over the
   window, with `x_zero` as the value of what lies outside the image, adds the bias and requantizes.

   Every function is `weak`: networks in one firmware share it. The same functions exist for each instruction
   set, in armv7em_*.c (which is also plain C for any machine) and mve_*.c. They differ in how constants are
   packed: weights `w` and parameters `q` come from the Python module of the same name (armv7em.py, mve.py),
   with pack_conv, pack_depthwise, pack_gemm and the sizes of the workspace: conv_workspace,
   depthwise_workspace, gemm_workspace. Both, and the workspace, are aligned to 8 bytes; `x` and `y` to 1.
   Input and output do not overlap, except that the output of `add` may be one of its inputs.

   Functions return 0. */

#ifndef EDGECOMPILE_KERNELS_H
#define EDGECOMPILE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How an accumulator becomes an output, before y_zero is added and the sum clamped to [lo, hi].
   With a total right shift of s = 31 + shift (shift may be negative):
     single  (acc * multiplier + 2^(s-1)) >> s in 64 bits
     double  the high half of 2 * (acc << left) * multiplier, ties up, then a right shift, ties away from 0
     float   float(acc) * multiplier, to the nearest integer, ties to even
   `fast` says that `q` has a form with rounding and y_zero folded in, which the packing chose because every
   channel's shift permits it. */
enum { EDGECOMPILE_SINGLE = 0, EDGECOMPILE_DOUBLE = 1, EDGECOMPILE_FLOAT = 2 };

typedef struct {
  int32_t rounding, fast;
  int32_t y_zero, lo, hi;
} edgecompile_output;

/* A convolution or a pooling window. Padding at the bottom and right follows from the output's size. */
typedef struct {
  int32_t batch;
  int32_t input_height, input_width, input_channels;
  int32_t output_height, output_width, output_channels;
  int32_t kernel_height, kernel_width;
  int32_t stride_y, stride_x;
  int32_t dilation_y, dilation_x;
  int32_t pad_top, pad_left;
  int32_t groups;
  int32_t x_zero;
  edgecompile_output output;
} edgecompile_conv_geometry;

typedef struct {
  int32_t rows, depth, columns;
  edgecompile_output output;
} edgecompile_gemm_geometry;

/* One operand of `add`: ((a - zero) << 20), requantized by multiplier and shift. */
typedef struct {
  int32_t zero, multiplier, shift;
} edgecompile_operand;

/* The two requantized operands are summed, and the sum requantized by y. `fast` as above. */
typedef struct {
  int32_t count;
  edgecompile_operand a, b;
  int32_t y_multiplier, y_shift;
  edgecompile_output output;
} edgecompile_add_geometry;

/* Any kernel, stride, dilation, padding, batch and groups; weights [O, KH, KW, C/groups] before packing. */
int32_t edgecompile_conv_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                            const edgecompile_conv_geometry* g, int8_t* y, void* workspace);

/* groups == input_channels; output channel o reads input channel o / (output_channels / input_channels).
   Weights [O, KH, KW] before packing. */
int32_t edgecompile_depthwise_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                 const edgecompile_conv_geometry* g, int8_t* y, void* workspace);

/* x [rows, depth] times weights [columns, depth] (before packing), transposed, gives y [rows, columns]. */
int32_t edgecompile_gemm_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                            const edgecompile_gemm_geometry* g, int8_t* y, void* workspace);

/* y[i] = a[i] + b[i] for i < count; y may be a or b. */
int32_t edgecompile_add_s8(const int8_t* a, const int8_t* b, const edgecompile_add_geometry* g, int8_t* y);

#ifdef __cplusplus
}
#endif

#endif
