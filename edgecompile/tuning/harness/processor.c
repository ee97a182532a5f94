/* Candidates as functions: `trials` of trials.h. Before each run TRIALS_EVICT_BYTES are read and written, so that a
 * kernel finds its operands as far away as it does in a network. A run is enclosed by two calls of edgecompile_mark,
 * for whoever counts instructions. */
#include "machine.h"

#include <string.h>

#include "platform.h"

static unsigned char workspace[TRIALS_WORKSPACE_BYTES + GUARD_BYTES] __attribute__((aligned(64)));
static unsigned char far_away[TRIALS_EVICT_BYTES] __attribute__((aligned(64)));

void edgecompile_mark(void);
__attribute__((noinline, used)) void edgecompile_mark(void) { __asm__ volatile("" ::: "memory"); }

void machine_open(void) {
  memset(outputs + TRIALS_OUTPUT_BYTES, CANARY, GUARD_BYTES);
  memset(workspace, CANARY, sizeof workspace);
}

void machine_clear(void) { memset(outputs, GARBAGE, TRIALS_OUTPUT_BYTES); }

int64_t machine_run(int candidate, int set) {
  for (size_t i = 0; i < sizeof far_away; i += 64) ++far_away[i];
  edgecompile_mark();
  const int64_t begin = platform_clock();
  trials[candidate](inputs[set], outputs, workspace);
  const int64_t end = platform_clock();
  edgecompile_mark();
  check_guard(outputs + TRIALS_OUTPUT_BYTES);
  check_guard(workspace + TRIALS_WORKSPACE_BYTES);
  return begin < 0 ? -1 : end - begin;
}

void machine_fetch(void) {}
