#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "platform.h"

enum { STATUS_GPU = 74 };

static ENGINE_NAME(_engine) * engine;

static void destroy_engine(void) { ENGINE_NAME(_destroy)(engine); }

static void check(int result, const char* task) {
  if (result == 0) return;
  fprintf(stderr, "runner: %s: %s (%d)\n", task, ENGINE_NAME(_error_name)(result), result);
  platform_exit(STATUS_GPU);
}

int engine_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes) {
  (void)arena;
  (void)arena_bytes;
  if (engine == NULL) {
    check(ENGINE_NAME(_create)(&engine, 0, ENGINE_OPTIONS), "the engine cannot be created");
    atexit(destroy_engine);
  }
  check(ENGINE_NAME(_run)(engine, inputs, outputs), "the engine failed");
  return 0;
}
