/* Executes kernels on the cases in a file and writes their results to another: `cases INPUT OUTPUT`.
 * A case is eight int32: function and bytes of x, w, q, g, y and workspace, and how far x is misaligned;
 * then x, w, q and g. A result is int32: 0, or 1 for a write outside; then y. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "platform.h"

enum { GUARD = 16, GUARD_BYTE = 0x5A };

__attribute__((noinline)) void edgecompile_mark(void) { __asm__ volatile("" ::: "memory"); }

#if defined(__arm__)
static uint64_t pool[400000];
static size_t used;

static void* take(size_t bytes) {
  void* taken = &pool[used];
  used += (bytes + 7) / 8;
  if (used > sizeof pool / 8) platform_exit(4);
  return taken;
}

static void drop(void* taken) { used = (size_t)((uint64_t*)taken - pool); }
#else
static void* take(size_t bytes) { return malloc(bytes); }

static void drop(void* taken) { free(taken); }
#endif

static int damaged(const uint8_t* guard) {
  for (int i = 0; i < GUARD; ++i) {
    if (guard[i] != GUARD_BYTE) return 1;
  }
  return 0;
}

static void call(int32_t function, const int8_t* x, const void* w, const int32_t* q, const void* g, int8_t* y,
                 void* workspace) {
  if (function == 0) edgecompile_conv_s8(x, w, q, g, y, workspace);
  if (function == 1) edgecompile_depthwise_s8(x, w, q, g, y, workspace);
  if (function == 2) edgecompile_gemm_s8(x, w, q, g, y, workspace);
  if (function == 3) edgecompile_add_s8(x, w, g, y);
  if (function == 4) {
    memcpy(y, x, (size_t)((const edgecompile_add_geometry*)g)->count);
    edgecompile_add_s8(y, w, g, y);
  }
}

int runner_main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int input = platform_open(argv[1], 0), output = platform_open(argv[2], 1);
  int32_t head[8];
  while (platform_read(input, head, sizeof head) == 0) {
    /* Arguments end where their memory ends, so that a sanitizer sees what is read behind them. */
    uint8_t* parts[6];
    for (int i = 0; i < 6; ++i) {
      const size_t before = i == 0 ? (size_t)head[7] : 0, guard = i < 4 ? 0 : GUARD;
      const size_t bytes = (size_t)head[i + 1];
      parts[i] = (uint8_t*)take(before + bytes + guard) + before;
      memset(parts[i], GUARD_BYTE, bytes + guard);
      if (i < 4 && bytes > 0 && platform_read(input, parts[i], bytes) != 0) return 3;
    }
    edgecompile_mark();
    call(head[0], (int8_t*)parts[0], parts[1], (int32_t*)parts[2], parts[3], (int8_t*)parts[4], parts[5]);
    edgecompile_mark();
    const int32_t status = damaged(parts[4] + head[5]) || damaged(parts[5] + head[6]);
    if (platform_write(output, &status, 4) != 0) return 3;
    if (platform_write(output, parts[4], (size_t)head[5]) != 0) return 3;
    for (int i = 5; i > 0; --i) drop(parts[i]);
    drop(parts[0] - head[7]);
  }
  return platform_close(output);
}
