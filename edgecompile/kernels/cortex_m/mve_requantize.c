/* Requantization of three vectors of sums, in the modes that are not done in place. */

#include "mve.h"

/* Single rounding: VQDMULH floors acc * multiplier / 2^31, and VRSHL rounds the rest of the shift: exact, as
   a floor of a floor is one floor. That needs right >= 1, so a smaller shift is made up by a left shift, which
   saturates only values that the clamp cuts off anyway. */
#define SINGLE(v) "vqshl.s32 " v "," v ",q3\n vqdmulh.s32 " v "," v ",q1\n vrshl.s32 " v "," v ",q2\n"
/* Double rounding: VRSHL rounds ties up, so 1 is taken from negative numbers that are shifted. */
#define DOUBLE(v)                                                                                      \
  "vqshl.s32 " v "," v ",q3\n vqrdmulh.s32 " v "," v ",q1\n vand q0," v ",q2\n vshr.s32 q0,q0,#31\n"   \
  "vqadd.s32 " v "," v ",q0\n vrshl.s32 " v "," v ",q2\n"
#define FAST_DOUBLE(v)                                                                                 \
  "vqrdmulh.s32 " v "," v ",q1\n vshr.s32 q0," v ",#31\n vqadd.s32 " v "," v ",q0\n"                   \
  "vrshl.s32 " v "," v ",q2\n"
#define FLOAT(v) "vcvt.f32.s32 " v "," v "\n vmul.f32 " v "," v ",q1\n vcvtn.s32.f32 " v "," v "\n"

SHARED __attribute__((naked)) void edgecompile_mve_requantize(void) {
  __asm__ volatile(
      "cmp r6,#3\n bgt 4f\n beq 3f\n cmp r6,#2\n beq 2f\n" /* MODE_SINGLE is like its fast form */
      SINGLE("q5") SINGLE("q6") SINGLE("q7") "bx lr\n"
      "2:\n" DOUBLE("q5") DOUBLE("q6") DOUBLE("q7") "bx lr\n"
      "3:\n" FLOAT("q5") FLOAT("q6") FLOAT("q7") "bx lr\n"
      "4:\n" FAST_DOUBLE("q5") FAST_DOUBLE("q6") FAST_DOUBLE("q7") "bx lr\n");
}
