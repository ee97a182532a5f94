/* The entry of the network that is written by hand: scale in the arena, exp, a sum of integers. */
#include "fakenet.h"

#include <string.h>

enum { NO_BUG, ARENA_OVERRUN, OUTPUT_OVERRUN, INPUT_CHANGED, ZEROED_ARENA };
enum { NOT_REPEATABLE = ZEROED_ARENA + 1, ERROR, CRASH, HANG, DEEP_STACK };
#ifndef FAKE_BUG
#define FAKE_BUG NO_BUG
#endif

int32_t fakenet_scale(const float* x, float* scaled);
int32_t fakenet_exp(const float* scaled, float* y);
int32_t fakenet_sum(const int32_t* words, int32_t* total);

#ifdef EDGECOMPILE_TRACE
void edgecompile_trace(int32_t step, const void* const* tensors, const size_t* bytes, int32_t count);
static void trace(int32_t step, const void* tensor, size_t bytes) {
  edgecompile_trace(step, &tensor, &bytes, 1);
}
#else
#define trace(step, tensor, bytes) ((void)0)
#endif

static int32_t recurse(volatile int32_t* above) {
  volatile int32_t frame[256];
  frame[0] = *above + 1;
  return recurse(frame) + frame[0];
}

static void misbehave(unsigned char* arena, const void* const inputs[], void* const outputs[]) {
  static int32_t calls;
  if (FAKE_BUG == ARENA_OVERRUN) arena[FAKENET_ARENA_BYTES] = 1;
  if (FAKE_BUG == OUTPUT_OVERRUN) ((unsigned char*)outputs[1])[4] = 1;
  if (FAKE_BUG == INPUT_CHANGED) ((unsigned char*)(uintptr_t)inputs[1])[0] ^= 1;
  if (FAKE_BUG == ZEROED_ARENA) ((float*)outputs[0])[0] += *(const float*)(arena + 48);
  if (FAKE_BUG == NOT_REPEATABLE) *(int32_t*)outputs[1] += ++calls;
  if (FAKE_BUG == CRASH) __builtin_trap();
  if (FAKE_BUG == DEEP_STACK) *(int32_t*)outputs[1] = recurse(&calls);
  while (FAKE_BUG == HANG) __asm__ volatile("");
}

int fakenet_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes) {
  float* const scaled = (float*)arena;
  if (arena_bytes < FAKENET_ARENA_BYTES) return -1;
  if ((uintptr_t)arena % FAKENET_ARENA_ALIGN != 0) return -2;
  if (FAKE_BUG == ERROR) return -7;
  if (fakenet_scale((const float*)inputs[0], scaled) != 0) return -4;
  trace(0, scaled, 48);
  if (fakenet_exp(scaled, (float*)outputs[0]) != 0) return -4;
  trace(1, outputs[0], 48);
  if (fakenet_sum((const int32_t*)inputs[1], (int32_t*)outputs[1]) != 0) return -4;
  trace(2, outputs[1], 4);
  misbehave((unsigned char*)arena, inputs, outputs);
  return 0;
}
