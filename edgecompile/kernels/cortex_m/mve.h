/* What the kernels for Helium (the M-profile vector extension) share.

   Their loops are written in assembly, because their speed depends on which register holds what, and because
   compilers do not form them: VMLADAV multiplies 16 bytes and adds the products to one even core register, so
   at most six sums fit beside the pointers. Instructions are as in the Armv8-M architecture reference manual.
   A function in assembly takes a job: a structure that it finds its operands in, by their offset or their order.

   Constants are packed by mve.py:
     conv, gemm  w [groups][O/4][2][K/16][2][16]: a quad of channels is two pairs, (0, 2) and (1, 3), the order
                 in which VMOV fills a vector from two core registers; K and O are padded with zeros.
                 q [groups][O/4][4][4]: bias, multiplier, -right, left for a quad.
     depthwise   w [KH][KW][O]; q [O][4]: bias, multiplier, -right, left. */

#ifndef EDGECOMPILE_MVE_H
#define EDGECOMPILE_MVE_H

#include "kernels.h"

#define SHARED __attribute__((weak))
#define UNUSED __attribute__((unused))
#define ASSEMBLY static __attribute__((naked, noinline))
#define INLINE static inline UNUSED

/* Bytes of a vector; pixels and channels that are multiplied together. */
enum { LANES = 16, TILE_PIXELS = 3, QUAD = 4 };

INLINE int32_t min_int(int32_t a, int32_t b) { return a < b ? a : b; }
INLINE int32_t max_int(int32_t a, int32_t b) { return a > b ? a : b; }
INLINE int32_t round_up(int32_t a, int32_t unit) { return (a + unit - 1) / unit * unit; }

/* What `mode` of a job means. The fast ones need no shift to the left and at least 1 to the right. */
enum { MODE_FAST_SINGLE, MODE_SINGLE, MODE_DOUBLE, MODE_FLOAT, MODE_FAST_DOUBLE };

INLINE int32_t mode_of(const edgecompile_output* output) {
  if (!output->fast) return MODE_SINGLE + output->rounding;
  return output->rounding == EDGECOMPILE_SINGLE ? MODE_FAST_SINGLE : MODE_FAST_DOUBLE;
}

/* Not to be called from C. In and out: q5, q6, q7; q1 multiplier, q2 -right, q3 left, r6 mode. Uses q0. */
void edgecompile_mve_requantize(void);

/* `count` runs of 1 to 16 bytes, from one pitch to another; none where `count` is not positive. */
INLINE void copy_short(int8_t* to, int32_t to_pitch, const int8_t* from, int32_t from_pitch, int32_t count,
                       int32_t bytes) {
  if (count <= 0) return;
  __asm__ volatile(
      "vctp.8 %[bytes]\n dls lr,%[count]\n 1:\n vpstt\n vldrbt.8 q0,[%[from]]\n vstrbt.8 q0,[%[to]]\n"
      "add %[from],%[from_pitch]\n add %[to],%[to_pitch]\n le lr,1b\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [bytes] "r"(bytes), [count] "r"(count), [to_pitch] "r"(to_pitch), [from_pitch] "r"(from_pitch)
      : "q0", "lr", "memory");
}

/* `bytes` may be 0. */
INLINE void fill(int8_t* to, int32_t value, int32_t bytes) {
  __asm__ volatile("vdup.8 q0,%[value]\n wlstp.8 lr,%[bytes],2f\n 1:\n vstrb.8 q0,[%[to]],#16\n letp lr,1b\n 2:\n"
                   : [to] "+r"(to)
                   : [bytes] "r"(bytes), [value] "r"(value)
                   : "q0", "lr", "memory");
}

/* Products of rows of K bytes at a constant distance with packed weights. */
typedef struct {
  const int8_t* x[TILE_PIXELS]; /*  0: of the first tile, 16 bytes ahead */
  int32_t rest;                 /* 12: after the start of the sums, bytes of any depth or pairs of blocks */
  int32_t pair_bytes;           /* 16: weights of two channels */
  int32_t y_zero, hi;           /* 20, 24 */
  int32_t y_pitch, mode;        /* 28, 32: pitch from pixel to pixel */
  const int8_t* w;              /* 36 */
  const int32_t* q;             /* 40 */
  int32_t columns;              /* 44: output channels */
  int8_t* y;                    /* 48 */
  int32_t tiles, x_step;        /* 52, 56: x_step from tile to tile */
  int32_t lo;                   /* 60 */
  int32_t depth;                /* K, for C only */
} product_job;

/* A job without x, rest, tiles and x_step: the functions below set those. */
product_job edgecompile_mve_products(const int8_t* w, const int32_t* q, int8_t* y, int32_t depth, int32_t columns,
                                     int32_t y_pitch, const edgecompile_output* output);

/* `pixels` rows from `x` on, `pitch` apart, each readable for 16 bytes. Moves job->y on. */
void edgecompile_mve_multiply(product_job* job, const int8_t* x, int32_t pitch, int32_t pixels);

/* The same for rows in memory that ends at `x_end`. The last ones may not be readable for 16 bytes when they are
   shorter: they are copied to the workspace. */
void edgecompile_mve_multiply_in_place(product_job* job, const int8_t* x, int32_t pitch, int32_t pixels,
                                       const int8_t* x_end, int8_t* workspace);

#endif
