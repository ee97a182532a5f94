/* Requantization in all its forms, for what the inner loops do not do themselves. */

#include "armv7em.h"

/* To the nearest, ties to even, by the bits of the product: no compiler can fuse that with what follows. */
static int64_t round_float(int32_t sum, int32_t factor_bits) {
  float factor, product;
  memcpy(&factor, &factor_bits, 4);
  product = (float)sum * factor;
  uint32_t bits;
  memcpy(&bits, &product, 4);
  const int32_t exponent = (int32_t)(bits >> 23 & 0xFF) - 150;
  const int64_t digits = (int64_t)((bits & 0x7FFFFF) | 0x800000);
  int64_t whole = 0;
  if (exponent >= 0) {
    whole = digits << (exponent < 32 ? exponent : 32);
  } else if (exponent >= -24) {
    const int64_t half = (int64_t)1 << (-exponent - 1);
    whole = (digits + half - 1 + (digits >> -exponent & 1)) >> -exponent;
  }
  return bits >> 31 ? -whole : whole;
}

SHARED int64_t edgecompile_scale(int32_t sum, int32_t multiplier, int32_t shift, int32_t rounding) {
  if (rounding == EDGECOMPILE_FLOAT) return round_float(sum, multiplier);
  const int32_t left = shift < 0 ? -shift : 0, right = shift < 0 ? 0 : shift;
  const int64_t limit = left < 31 ? INT32_MAX >> left : 0;
  int64_t wide = sum;
  if (left != 0) {
    const int64_t bounded = wide < -limit - 1 ? -limit - 1 : wide > limit ? limit : wide;
    wide = bounded != wide ? (wide < 0 ? INT32_MIN : INT32_MAX) : wide * ((int64_t)1 << left);
  }
  const int64_t product = wide * multiplier;
  if (right > 32) return 0;
  if (rounding == EDGECOMPILE_SINGLE) {
    return right > 31 ? ((product >> 31) + ((int64_t)1 << (right - 1))) >> right
                      : (product + ((int64_t)1 << (30 + right))) >> (31 + right);
  }
  const int64_t high = (product + 0x40000000ll) >> 31;
  if (right == 0) return high;
  return (high + (high >> 63) + ((int64_t)1 << (right - 1))) >> right;
}

SHARED int8_t edgecompile_requantize(int32_t sum, const channel* q, const edgecompile_output* o) {
  int32_t value;
  if (o->fast) {
    value = o->rounding == EDGECOMPILE_SINGLE ? fast_single(sum, q->multiplier, q->offset, q->shift)
                                              : fast_double(sum, q->multiplier, q->offset, q->shift);
  } else {
    const int64_t wide = edgecompile_scale(sum, q->multiplier, q->shift, o->rounding) + o->y_zero;
    value = wide < -128 ? -128 : wide > 127 ? 127 : (int32_t)wide;
  }
  return (int8_t)clamp(value, o->lo, o->hi);
}

SHARED void edgecompile_clamp(int8_t* y, int32_t count, const edgecompile_output* o) {
  if (o->lo <= -128 && o->hi >= 127) return;
#if ARMV7EM
  const uint32_t lo = four_bytes(o->lo), hi = four_bytes(o->hi);
  for (; count >= 4; count -= 4, y += 4) {
    uint32_t word = load4(y), scratch;
    __asm__("ssub8 %1, %0, %2\n sel %0, %0, %2\n ssub8 %1, %3, %0\n sel %0, %0, %3"
            : "+r"(word), "=&r"(scratch) : "r"(lo), "r"(hi) : "cc");
    store4(y, word);
  }
#endif
  for (; count > 0; --count, ++y) *y = (int8_t)clamp(*y, o->lo, o->hi);
}
