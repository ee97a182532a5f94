/* What this machine can do at best, for the roofline: multiply-accumulates from registers, and reading memory.
 * Each function does its work and returns how much that was, in multiply-accumulates or bytes; the caller
 * takes the time. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif

/* Independent sums: enough to hide the latency of two multipliers, few enough for 16 registers. */
enum { SUMS = 12 };

typedef float float_vector __attribute__((vector_size(VECTOR_BYTES)));
typedef uint64_t word_vector __attribute__((vector_size(VECTOR_BYTES)));

/* Where results go, so that the work cannot be left out. */
static volatile unsigned char sink;

static void keep(const void* result, size_t bytes) {
  unsigned char data[VECTOR_BYTES];
  memcpy(data, result, bytes);
  sink = data[0];
}

uint64_t peak_float32(uint64_t rounds) {
  static const volatile float one = 0.999f;
  const float_vector factor = one - (float_vector){0};
  float_vector sums[SUMS], total = factor;
  for (int i = 0; i < SUMS; ++i) sums[i] = factor * (float)i;
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * factor + factor;
  }
  for (int i = 0; i < SUMS; ++i) total += sums[i];
  keep(&total, sizeof total);
  return rounds * SUMS * (VECTOR_BYTES / sizeof(float));
}

/* 8 bit products summed in 32 bits by the instruction that is made for it; 0 where this CPU has none. */
#if defined(__AVX512VNNI__)
typedef __m512i int_vector;
#define DOT(sum, a) _mm512_dpbusd_epi32(sum, a, a)
#elif defined(__AVXVNNI__)
typedef __m256i int_vector;
#define DOT(sum, a) _mm256_dpbusd_avx_epi32(sum, a, a)
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t int_vector;
#define DOT(sum, a) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(a))
#endif

uint64_t peak_int8(uint64_t rounds) {
#ifdef DOT
  static const volatile unsigned char one = 1;
  int_vector sums[SUMS], factor;
  memset(&factor, one, sizeof factor);
  for (int i = 0; i < SUMS; ++i) sums[i] = factor;
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; ++i) sums[i] = DOT(sums[i], factor);
  }
  for (int i = 0; i < SUMS; ++i) keep(&sums[i], sizeof(int_vector));
  return rounds * SUMS * sizeof(int_vector);
#else
  (void)rounds;
  return 0;
#endif
}

/* `data` is aligned to a vector; bytes behind the last full block of vectors are left out. */
uint64_t peak_read(const void* data, size_t bytes, uint64_t rounds) {
  enum { BLOCK = 8 };
  const word_vector* const vectors = data;
  const size_t blocks = bytes / (BLOCK * sizeof(word_vector));
  word_vector sums[BLOCK] = {0};
  for (uint64_t round = 0; round < rounds; ++round) {
    for (size_t block = 0; block < blocks; ++block) {
#pragma GCC unroll 8
      for (int i = 0; i < BLOCK; ++i) sums[i] += vectors[block * BLOCK + i];
    }
    /* Another round is another read, though nothing has changed. */
    __asm__ volatile("" ::: "memory");
  }
  for (int i = 0; i < BLOCK; ++i) keep(&sums[i], sizeof(word_vector));
  return rounds * blocks * BLOCK * sizeof(word_vector);
}
