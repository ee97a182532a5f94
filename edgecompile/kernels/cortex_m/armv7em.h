/* What the kernels for the DSP instructions of Armv7E-M (Cortex-M4, Cortex-M7; Armv8-M with DSP) share.

   Each inner loop is there in assembly and in plain C, with the same operands. They multiply int16
   activations, which the C code around them gathers window by window into a small workspace, with int8
   (depthwise: int16) weights, two products an instruction, and requantize the sums.

   SXTB16 takes bytes 0 and 2 of a word, and after a rotation bytes 1 and 3. So four consecutive activations
   0 1 2 3 are kept as two words (0, 2) and (1, 3), and weights stay in their order. */

#ifndef EDGECOMPILE_ARMV7EM_H
#define EDGECOMPILE_ARMV7EM_H

#include <string.h>

#include "kernels.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(EDGECOMPILE_PLAIN_C)
#define ARMV7EM 1
#else
#define ARMV7EM 0
#endif

#define SHARED __attribute__((weak))
#define INLINE static inline __attribute__((always_inline, unused))
#define ASSEMBLY static __attribute__((naked, noinline))
#define ARGUMENTS __attribute__((unused)) const

/* One entry of `q`. In the fast form a single rounding is ((acc * multiplier >> 32) + offset) >> shift, and a
   double one starts with 2 * acc and rounds the product; otherwise as in kernels.h, without offset. */
typedef struct {
  int32_t multiplier, offset, shift, bias;
} channel;

/* What an inner kernel does with its sums; RAW stores them as int32, for one step over the channels. */
enum { RAW = 2 };

/* Words: even_bytes and odd_bytes are two int16; low_halves and high_halves are one half of each argument.
   multiply_high is (a * b >> 32) + c; multiply_high_rounded the same with the product rounded, ties up. */

INLINE uint32_t load4(const void* from) {
  uint32_t word;
  __builtin_memcpy(&word, from, 4); /* also inline where the compiler is told that there is no C library */
  return word;
}

INLINE void store4(void* to, uint32_t word) { __builtin_memcpy(to, &word, 4); }

INLINE int32_t clamp(int32_t value, int32_t lo, int32_t hi) {
  return value < lo ? lo : value > hi ? hi : value;
}

INLINE uint32_t four_bytes(int32_t value) { return ((uint32_t)value & 0xFF) * 0x01010101u; }

#if ARMV7EM
#define INSTRUCTION(text, type, ...)              \
  type result;                                    \
  __asm__(text : "=r"(result) : __VA_ARGS__); \
  return result

INLINE uint32_t even_bytes(uint32_t word) { INSTRUCTION("sxtb16 %0, %1", uint32_t, "r"(word)); }

INLINE uint32_t odd_bytes(uint32_t word) { INSTRUCTION("sxtb16 %0, %1, ror #8", uint32_t, "r"(word)); }

INLINE uint32_t low_halves(uint32_t low, uint32_t high) {
  INSTRUCTION("pkhbt %0, %1, %2, lsl #16", uint32_t, "r"(low), "r"(high));
}

INLINE uint32_t high_halves(uint32_t low, uint32_t high) {
  INSTRUCTION("pkhtb %0, %2, %1, asr #16", uint32_t, "r"(low), "r"(high));
}

INLINE int32_t multiply_high(int32_t a, int32_t b, int32_t c) {
  INSTRUCTION("smmla %0, %1, %2, %3", int32_t, "r"(a), "r"(b), "r"(c));
}

INLINE int32_t multiply_high_rounded(int32_t a, int32_t b, int32_t c) {
  INSTRUCTION("smmlar %0, %1, %2, %3", int32_t, "r"(a), "r"(b), "r"(c));
}

INLINE int32_t saturate(int32_t value) { INSTRUCTION("ssat %0, #8, %1", int32_t, "r"(value)); }
#else
INLINE uint32_t even_bytes(uint32_t word) {
  return ((uint32_t)(int8_t)word & 0xFFFF) | (uint32_t)(int8_t)(word >> 16) << 16;
}

INLINE uint32_t odd_bytes(uint32_t word) { return even_bytes(word >> 8); }

INLINE uint32_t low_halves(uint32_t low, uint32_t high) { return (low & 0xFFFF) | high << 16; }

INLINE uint32_t high_halves(uint32_t low, uint32_t high) { return low >> 16 | (high & 0xFFFF0000u); }

INLINE int32_t multiply_high(int32_t a, int32_t b, int32_t c) { return (int32_t)((int64_t)a * b >> 32) + c; }

INLINE int32_t multiply_high_rounded(int32_t a, int32_t b, int32_t c) {
  return (int32_t)(((int64_t)a * b + 0x80000000ll) >> 32) + c;
}

INLINE int32_t saturate(int32_t value) { return clamp(value, -128, 127); }
#endif

/* How many of `count` positions start, start + step, ... are below `limit`. */
INLINE int32_t below(int32_t limit, int32_t start, int32_t step, int32_t count) {
  if (start >= limit) return 0;
  return clamp(step == 1 ? limit - start : (limit - start + step - 1) / step, 0, count);
}

/* Requantization. */

INLINE int32_t fast_single(int32_t sum, int32_t multiplier, int32_t offset, int32_t shift) {
  return multiply_high(sum, multiplier, offset) >> shift;
}

/* A sum has the sign of its product, or the product is 0, where it makes no difference. */
INLINE int32_t fast_double(int32_t sum, int32_t multiplier, int32_t offset, int32_t shift) {
  return multiply_high_rounded(sum * 2, multiplier, offset + (sum >> 31)) >> shift;
}

/* The rounded product as kernels.h defines it; where it does not fit 32 bits, something beyond any int8. */
int64_t edgecompile_scale(int32_t sum, int32_t multiplier, int32_t shift, int32_t rounding);

/* Any form of `q`. */
int8_t edgecompile_requantize(int32_t sum, const channel* q, const edgecompile_output* o);

/* The inner loops saturate; narrower bounds are rare, and applied to `count` results of a finished layer. */
void edgecompile_clamp(int8_t* y, int32_t count, const edgecompile_output* o);

#if ARMV7EM
/* Assembly keeps a copy of its arguments on the stack, because all registers are in use. Loops are unrolled
   and entered in the middle, so that any number of steps runs without a remainder.

   SINGLE and DOUBLE are fast_single and fast_double of register `a`, with a multiplier in m, offset in o and
   shift in s, and saturate; t is scratch. */
#define SINGLE(a, m, o, s, t) \
  "smmla " a ", " a ", " m ", " o "\n asr.w " a ", " a ", " s "\n ssat " a ", #8, " a "\n"
#define DOUBLE(a, m, o, s, t) \
  "add.w " t ", " o ", " a ", asr #31\n lsl.w " a ", " a ", #1\n smmlar " a ", " a ", " m ", " t "\n" \
  "asr.w " a ", " a ", " s "\n ssat " a ", #8, " a "\n"
#else
/* The plain C of what the assembly does with a sum, and of SMLAD. */
INLINE void store_sum(int8_t* y, int32_t at, int32_t sum, const channel* q, int32_t mode) {
  if (mode == EDGECOMPILE_SINGLE) {
    y[at] = (int8_t)saturate(fast_single(sum, q->multiplier, q->offset, q->shift));
  } else if (mode == EDGECOMPILE_DOUBLE) {
    y[at] = (int8_t)saturate(fast_double(sum, q->multiplier, q->offset, q->shift));
  } else {
    store4(y + 4 * at, (uint32_t)sum);
  }
}

INLINE int32_t products(uint32_t x, uint32_t w, int32_t sum) {
  return sum + (int16_t)(x & 0xFFFF) * (int16_t)(w & 0xFFFF) + (int16_t)(x >> 16) * (int16_t)(w >> 16);
}
#endif

#endif
