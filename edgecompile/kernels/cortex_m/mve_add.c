/* Sum. */

#include "mve.h"

/* Operands are shifted by so many bits before they are brought to a common scale. */
enum { OPERAND_SHIFT = 20 };

/* In the order of the registers that take it: r1 to r4, then r0 to r12 and lr. An operand is shifted to the left
   by (element - vector) << scalar; in the fast modes by element * vector + scalar. */
typedef struct {
  int32_t vector_a, vector_b, lo, hi;
  int32_t y_zero;
  const int8_t *a, *b;
  int8_t* y;
  int32_t scalar_a, scalar_b, times_a, times_b, right_a, right_b; /* shifts to the right are negative */
  int32_t times_y, left_y, right_y;
  int32_t count;
} add_job;

#define OPERANDS "vsub.i32 q0,q0,q4\n vsub.i32 q1,q1,q5\n vqshl.s32 q0,r4\n vqshl.s32 q1,r5\n"
#define FAST_OPERANDS "vmlas.s32 q0,q4,r4\n vmlas.s32 q1,q5,r5\n"
#define SUM "vadd.i32 q0,q0,q1\n vqshl.s32 q0,r11\n"
#define FAST_SUM "vadd.i32 q0,q0,q1\n"

/* `v` times the multiplier `m` and shifted by `s`, as in mve_requantize.c; q2 is free. */
#define TIMES_SINGLE(v, m, s) "vqdmulh.s32 " v "," v "," m "\n vrshl.s32 " v "," s "\n"
#define TIMES_DOUBLE(v, m, s)                                                                          \
  "vqrdmulh.s32 " v "," v "," m "\n vdup.32 q2," s "\n vand q2," v ",q2\n vshr.s32 q2,q2,#31\n"        \
  "vqadd.s32 " v "," v ",q2\n vrshl.s32 " v "," s "\n"
#define TIMES_FAST_DOUBLE(v, m, s)                                                                     \
  "vqrdmulh.s32 " v "," v "," m "\n vshr.s32 q2," v ",#31\n vqadd.s32 " v "," v ",q2\n"                \
  "vrshl.s32 " v "," s "\n"
#define TIMES_FLOAT(v, m, s)                                                                           \
  "vcvt.f32.s32 " v "," v "\n vmul.f32 " v "," v "," m "\n vcvtn.s32.f32 " v "," v "\n"

/* All elements, four at a time. q4 and q5 vectors of a and b, q6 and q7 bounds. */
#define ADD(operands, times, sum)                                                                      \
  "push {r4-r11,lr}\n vpush {d8-d15}\n ldm r0!,{r1-r4}\n vdup.32 q4,r1\n vdup.32 q5,r2\n"              \
  "vdup.32 q6,r3\n vdup.32 q7,r4\n ldm r0,{r0-r12,lr}\n wlstp.32 lr,lr,2f\n 1:\n"                      \
  "vldrb.s32 q0,[r1],#4\n vldrb.s32 q1,[r2],#4\n" operands times("q0", "r6", "r8")                     \
  times("q1", "r7", "r9") sum times("q0", "r10", "r12") "vqadd.s32 q0,q0,r0\n vmin.s32 q0,q0,q7\n"     \
  "vmax.s32 q0,q0,q6\n vstrb.32 q0,[r3],#4\n letp lr,1b\n 2:\n vpop {d8-d15}\n pop {r4-r11,pc}\n"

ASSEMBLY void add_single(const add_job* job UNUSED) { __asm__ volatile(ADD(OPERANDS, TIMES_SINGLE, SUM)); }
ASSEMBLY void add_double(const add_job* job UNUSED) { __asm__ volatile(ADD(OPERANDS, TIMES_DOUBLE, SUM)); }
ASSEMBLY void add_float(const add_job* job UNUSED) { __asm__ volatile(ADD(OPERANDS, TIMES_FLOAT, SUM)); }
ASSEMBLY void add_fast_single(const add_job* job UNUSED) {
  __asm__ volatile(ADD(FAST_OPERANDS, TIMES_SINGLE, FAST_SUM));
}
ASSEMBLY void add_fast_double(const add_job* job UNUSED) {
  __asm__ volatile(ADD(FAST_OPERANDS, TIMES_FAST_DOUBLE, FAST_SUM));
}

/* How far an operand is shifted to the left. A right shift of 0 becomes 1 by one bit more: single rounding needs
   that. Double rounding is faster with it, and exact for a multiplier of a half, which rounds nothing here. */
static int32_t left_of(const edgecompile_operand* p, int32_t rounding) {
  const int one_more = rounding == EDGECOMPILE_SINGLE || (p->shift == 0 && p->multiplier == 1 << 30);
  return OPERAND_SHIFT + max_int(one_more - p->shift, 0);
}

/* In the fast modes all shifts to the right are at least 1, and the operands fit 32 bits in any case. */
static void run_add(add_job* job, const edgecompile_add_geometry* g) {
  static void (*const kernels[])(const add_job*) = {add_single, add_double, add_float};
  const int32_t left_a = job->scalar_a, left_b = job->scalar_b;
  const int near = left_a <= OPERAND_SHIFT + 1 && left_b <= OPERAND_SHIFT + 1 && job->left_y == 0;
  if (g->output.rounding == EDGECOMPILE_FLOAT || !near || max_int(job->right_a, job->right_b) >= 0 ||
      job->right_y >= 0) {
    kernels[g->output.rounding](job);
    return;
  }
  job->vector_a = 1 << left_a;
  job->vector_b = 1 << left_b;
  job->scalar_a = -g->a.zero * (1 << left_a);
  job->scalar_b = -g->b.zero * (1 << left_b);
  void (*const fast)(const add_job*) = g->output.rounding == EDGECOMPILE_SINGLE ? add_fast_single : add_fast_double;
  fast(job);
}

SHARED int32_t edgecompile_add_s8(const int8_t* a, const int8_t* b, const edgecompile_add_geometry* g, int8_t* y) {
  const int32_t rounding = g->output.rounding, least = rounding == EDGECOMPILE_SINGLE;
  const int32_t left_a = left_of(&g->a, rounding), left_b = left_of(&g->b, rounding);
  add_job job = {.vector_a = g->a.zero,
                 .vector_b = g->b.zero,
                 .lo = g->output.lo,
                 .hi = g->output.hi,
                 .y_zero = g->output.y_zero,
                 .a = a,
                 .b = b,
                 .y = y,
                 .scalar_a = left_a,
                 .scalar_b = left_b,
                 .times_a = g->a.multiplier,
                 .times_b = g->b.multiplier,
                 .right_a = OPERAND_SHIFT - left_a - g->a.shift,
                 .right_b = OPERAND_SHIFT - left_b - g->b.shift,
                 .times_y = g->y_multiplier,
                 .left_y = max_int(least - g->y_shift, 0),
                 .right_y = -max_int(g->y_shift, least),
                 .count = g->count};
  run_add(&job, g);
  return 0;
}
