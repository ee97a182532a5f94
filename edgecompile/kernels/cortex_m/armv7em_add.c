/* Sum of two activations. */

#include "armv7em.h"

/* One operand on the common scale: (value << left) - zero, times multiplier, plus offset, shifted. `sign` is
   -1 where rounding "double" has to move a tie of a negative number away from 0. */
typedef struct {
  int32_t zero, multiplier, offset, shift, sign;
} rescaling;

/* Operands are shifted by this much more than by 20, so that the high half of a product is what is needed. */
enum { SINGLE_LEFT = 22, DOUBLE_LEFT = 21 };

INLINE rescaling rescaling_of(const edgecompile_operand* p, int32_t rounding) {
  if (rounding == EDGECOMPILE_SINGLE) {
    const rescaling single = {p->zero * (1 << SINGLE_LEFT), p->multiplier, 1 << p->shift, p->shift + 1, 0};
    return single;
  }
  const rescaling twice = {p->zero * (1 << DOUBLE_LEFT), p->multiplier, 1 << p->shift >> 1, p->shift,
                           p->shift == 0 ? 0 : -1};
  return twice;
}

INLINE int32_t rescale(int32_t value, const rescaling* r, int32_t rounding) {
  if (rounding == EDGECOMPILE_SINGLE) {
    return multiply_high(value * (1 << SINGLE_LEFT) - r->zero, r->multiplier, r->offset) >> r->shift;
  }
  const int32_t scaled = value * (1 << DOUBLE_LEFT) - r->zero;
  const int32_t offset = r->offset + (scaled >> 31 & r->sign);
  return multiply_high_rounded(scaled, r->multiplier, offset) >> r->shift;
}

INLINE int8_t finish(int32_t sum, const channel* q, int32_t rounding) {
  return (int8_t)saturate(rounding == EDGECOMPILE_SINGLE
                              ? fast_single(sum, q->multiplier, q->offset, q->shift)
                              : fast_double(sum, q->multiplier, q->offset, q->shift));
}

/* Four at a time, one operand after the other: the factors of both and of the sum do not fit registers. */
INLINE void add_fast(const int8_t* a, const int8_t* b, const edgecompile_add_geometry* g, int8_t* y,
                     int32_t rounding) {
  const rescaling left = rescaling_of(&g->a, rounding), right = rescaling_of(&g->b, rounding);
  const int32_t shift = rounding == EDGECOMPILE_SINGLE ? g->y_shift - 1 : g->y_shift;
  const channel q = {g->y_multiplier, (1 << shift >> 1) + g->output.y_zero * (1 << shift), shift, 0};
  const int8_t* const end = a + g->count;
  for (; end - a >= 4; a += 4, b += 4, y += 4) {
    int32_t s0 = rescale(a[0], &left, rounding), s1 = rescale(a[1], &left, rounding);
    int32_t s2 = rescale(a[2], &left, rounding), s3 = rescale(a[3], &left, rounding);
    s0 += rescale(b[0], &right, rounding);
    s1 += rescale(b[1], &right, rounding);
    s2 += rescale(b[2], &right, rounding);
    s3 += rescale(b[3], &right, rounding);
    y[0] = finish(s0, &q, rounding);
    y[1] = finish(s1, &q, rounding);
    y[2] = finish(s2, &q, rounding);
    y[3] = finish(s3, &q, rounding);
  }
  for (; a < end; ++a, ++b, ++y) {
    *y = finish(rescale(*a, &left, rounding) + rescale(*b, &right, rounding), &q, rounding);
  }
}

static int8_t add_slowly(int32_t a, int32_t b, const edgecompile_add_geometry* g) {
  const int32_t left = (a - g->a.zero) * (1 << 20), right = (b - g->b.zero) * (1 << 20);
  const int64_t sum = edgecompile_scale(left, g->a.multiplier, g->a.shift, g->output.rounding) +
                      edgecompile_scale(right, g->b.multiplier, g->b.shift, g->output.rounding);
  const channel q = {g->y_multiplier, 0, g->y_shift, 0};
  edgecompile_output o = g->output;
  o.fast = 0;
  return edgecompile_requantize((int32_t)sum, &q, &o);
}

/* `fast`: the shifts of a and b are 0 to 22, that of y 2 to 22. */
SHARED int32_t edgecompile_add_s8(const int8_t* a, const int8_t* b, const edgecompile_add_geometry* g,
                                  int8_t* y) {
  const edgecompile_output* o = &g->output;
  if (!o->fast) {
    for (int32_t i = 0; i < g->count; ++i) y[i] = add_slowly(a[i], b[i], g);
    return 0;
  }
  if (o->rounding == EDGECOMPILE_SINGLE) {
    add_fast(a, b, g, y, EDGECOMPILE_SINGLE);
  } else {
    add_fast(a, b, g, y, EDGECOMPILE_DOUBLE);
  }
  edgecompile_clamp(y, g->count, o);
  return 0;
}
