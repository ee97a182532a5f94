/* CUDA C on a CPU: what kernels use of the language, as far as C++ does not have it. Included before them.
 *
 * A thread is a fiber of the one thread of this program (see device.c). Multiply-adds are not fused, functions
 * are the C library's: results differ from a GPU's in the last bits.
 */
#ifndef EDGECOMPILE_DEVICE_H
#define EDGECOMPILE_DEVICE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EDGECOMPILE_SIMULATED 1

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  unsigned x, y, z;
} uint3;

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

/* A kernel, and how it is called with the addresses of its arguments. `threads` is the most that a block may have. */
typedef struct {
  const char* name;
  void (*call)(void* const* arguments);
  int arguments;
  unsigned threads;
  unsigned launches; /* until now */
} gpu_kernel;

extern gpu_kernel gpu_kernels[];
extern const int gpu_kernel_count;
/* The architecture that the kernels were compiled for, e.g. 87. */
extern const int gpu_architecture;

/* Executes a grid. Returns 0, or -1 when its threads wait for each other forever, after saying where. */
int gpu_execute(gpu_kernel* kernel, uint3 blocks, uint3 threads, void* const* arguments);

/* A clock: how often a thread has run until now, to its end or to where it waits. */
uint64_t gpu_time(void);

/* Waits for all threads of the block, which have to come to the same `line`. */
void gpu_sync_block(int line);

/* Waits for the lanes `mask` of the warp; after it, entry i of the result is what lane i gave. */
void* const* gpu_sync_warp(unsigned mask, void* given, int line);

#ifdef __cplusplus
}

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
/* As nvcc, and unlike C++: also behind `__shared__`. */
#define alignas(bytes) __attribute__((aligned(bytes)))
#define __shared__ static __attribute__((section("gpu_shared")))
#define __syncthreads() gpu_sync_block(__LINE__)
#define __syncwarp(...) gpu_sync_warp(0xFFFFFFFFu, NULL, __LINE__)

template <typename T>
static inline T gpu_shuffle(unsigned mask, T value, int lane, int line) {
  void* const* const all = gpu_sync_warp(mask, &value, line);
  const T result = lane >= 0 && lane < 32 && all[lane] ? *static_cast<const T*>(all[lane]) : value;
  gpu_sync_warp(mask, NULL, line); /* `value` lives until every lane has read it */
  return result;
}

static inline int gpu_lane(void) {
  return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}

static inline int gpu_within(int lane, int width) { return lane / width == gpu_lane() / width ? lane : gpu_lane(); }

#define __shfl_sync(mask, value, lane, ...) \
  gpu_shuffle(mask, value, gpu_lane() / gpu_width(__VA_ARGS__) * gpu_width(__VA_ARGS__) + (lane) % gpu_width(__VA_ARGS__), __LINE__)
#define __shfl_up_sync(mask, value, by, ...) \
  gpu_shuffle(mask, value, gpu_within(gpu_lane() - (int)(by), gpu_width(__VA_ARGS__)), __LINE__)
#define __shfl_down_sync(mask, value, by, ...) \
  gpu_shuffle(mask, value, gpu_within(gpu_lane() + (int)(by), gpu_width(__VA_ARGS__)), __LINE__)
#define __shfl_xor_sync(mask, value, by, ...) \
  gpu_shuffle(mask, value, gpu_within(gpu_lane() ^ (int)(by), gpu_width(__VA_ARGS__)), __LINE__)
static inline int gpu_width(int width = 32) { return width; }

/* ---- arithmetic ---- */

#define GPU_ORDER(type, least, most)                                 \
  static inline type min(type a, type b) { return least; }           \
  static inline type max(type a, type b) { return most; }
GPU_ORDER(int, a < b ? a : b, a > b ? a : b)
GPU_ORDER(unsigned, a < b ? a : b, a > b ? a : b)
GPU_ORDER(long, a < b ? a : b, a > b ? a : b)
GPU_ORDER(unsigned long, a < b ? a : b, a > b ? a : b)
GPU_ORDER(long long, a < b ? a : b, a > b ? a : b)
GPU_ORDER(unsigned long long, a < b ? a : b, a > b ? a : b)
GPU_ORDER(float, fminf(a, b), fmaxf(a, b))
GPU_ORDER(double, fmin(a, b), fmax(a, b))

/* Macros, because C libraries have functions of some of these names. */
#define __expf expf
#define __exp10f exp10f
#define __logf logf
#define __log2f log2f
#define __log10f log10f
#define __powf powf
#define __sinf sinf
#define __cosf cosf
#define __tanf tanf
#define rsqrtf gpu_rsqrtf
static inline float gpu_rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
static inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, sizeof bits); return bits; }
static inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, sizeof x); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, sizeof bits); return bits; }
static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, sizeof x); return x; }
static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, sizeof x); return x; }

/* Four products of 8-bit numbers, added to `sum`. */
static inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i) sum += (int8_t)(a >> (8 * i)) * (int8_t)(b >> (8 * i));
  return sum;
}
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
  for (int i = 0; i < 4; ++i) sum += (uint8_t)(a >> (8 * i)) * (uint8_t)(b >> (8 * i));
  return sum;
}

/* A number of 16 bits, rounded to the nearest (to even) when it is stored; it computes as float. */
struct half {
  uint16_t bits;
  half() = default;
  half(float x) {
    const uint32_t f = __float_as_uint(x), sign = f >> 16 & 0x8000u, magnitude = f & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) {
      bits = (uint16_t)(sign | 0x7E00u); /* not a number */
    } else if (magnitude >= 0x477FF000u) {
      bits = (uint16_t)(sign | 0x7C00u); /* infinity: 65520 and more */
    } else if (magnitude < 0x38800000u) {
      bits = (uint16_t)(sign | (uint32_t)nearbyintf(ldexpf(__uint_as_float(magnitude), 24))); /* subnormal */
    } else {
      bits = (uint16_t)(sign | (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13);
    }
  }
  operator float() const {
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7FFFu;
    if (magnitude >= 0x7C00u) return __uint_as_float(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
    const float value = ldexpf((float)(magnitude & 0x3FFu | (magnitude >= 0x400u ? 0x400u : 0u)),
                               (magnitude >= 0x400u ? (int)(magnitude >> 10) : 1) - 25);
    return sign ? -value : value;
  }
};

/* ---- products of matrices by a warp: what the generated code has as PTX, with the same layout ---- */

static inline unsigned edgecompile_halves(float low, float high) {
  return half(low).bits | (unsigned)half(high).bits << 16;
}

static inline float gpu_dot(float sum, unsigned a, unsigned b) {
  half numbers[4];
  memcpy(numbers, &a, 4);
  memcpy(numbers + 2, &b, 4);
  return sum + (float)numbers[0] * (float)numbers[2] + (float)numbers[1] * (float)numbers[3];
}
static inline int gpu_dot(int sum, unsigned a, unsigned b) { return __dp4a((int)a, (int)b, sum); }

/* c += a b, of 16 rows, 8 words in common and 8 columns. Lane 4 g + t has the words a[0..3] of (row g, word t),
 * (g + 8, t), (g, t + 4), (g + 8, t + 4); b[0..1] of column g; c[0..3] of rows g and g + 8, columns 2 t and 2 t + 1. */
template <typename T>
static inline void gpu_multiply(T* c, const unsigned* a, const unsigned* b, int line) {
  const unsigned* given[2] = {a, b};
  void* const* const all = gpu_sync_warp(0xFFFFFFFFu, given, line);
  for (int i = 0; i < 4; ++i) {
    const int row = gpu_lane() / 4, column = gpu_lane() % 4 * 2 + i % 2;
    for (int word = 0; word < 8; ++word) {
      const unsigned* const left = ((const unsigned**)all[row * 4 + word % 4])[0];
      const unsigned* const right = ((const unsigned**)all[column * 4 + word % 4])[1];
      c[i] = gpu_dot(c[i], left[i / 2 + word / 4 * 2], right[word / 4]);
    }
  }
  gpu_sync_warp(0xFFFFFFFFu, NULL, line); /* all have read */
}
#define edgecompile_mma_f16(c, a, b) gpu_multiply<float>(c, a, b, __LINE__)
#define edgecompile_mma_s8(c, a, b) gpu_multiply<int>(c, a, b, __LINE__)

/* ---- vectors ---- */

#define GPU_VECTORS(name, type)                                                                         \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                              \
  struct name##3 { type x, y, z; };                                                                     \
  struct alignas(4 * sizeof(type) > 16 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; };           \
  static inline name##2 make_##name##2(type x, type y) { return name##2{x, y}; }                        \
  static inline name##3 make_##name##3(type x, type y, type z) { return name##3{x, y, z}; }             \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return name##4{x, y, z, w}; }
GPU_VECTORS(char, signed char)
GPU_VECTORS(uchar, unsigned char)
GPU_VECTORS(short, short)
GPU_VECTORS(ushort, unsigned short)
GPU_VECTORS(int, int)
GPU_VECTORS(longlong, long long)
GPU_VECTORS(ulonglong, unsigned long long)
GPU_VECTORS(float, float)
GPU_VECTORS(double, double)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return uint2{x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }

#endif /* __cplusplus */

#endif
