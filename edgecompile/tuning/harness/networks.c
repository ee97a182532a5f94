/* Measures variants of one network that compute the same. Speaks the protocol of the runner of networks
 * (toolchain/runner/runner.c); what a sample is there, is here a variant:
 *
 *   networks IN OUT SAMPLES REPEATS
 *
 * IN holds one sample, OUT receives the outputs of each variant. The variants take turns REPEATS times, or fewer
 * when that takes longer than NETWORKS_TOTAL_NS; every second time in the opposite order. A turn is one call that warms up, and as many more as take about
 * NETWORKS_TURN_NS, the same number for all. For each turn a line goes to the standard output, with the time
 * of one call: {"sample":0,"repeat":0,"ns":1234}.
 *
 * networks.h is generated: NETWORKS functions in `networks`, and the sizes of inputs, outputs and arena. */
#include "networks.h"

#include <string.h>

#include "lines.h"
#include "platform.h"

enum status { STATUS_USAGE = 64, STATUS_INPUT_FILE = 65, STATUS_OUTPUT_FILE = 66, STATUS_NETWORK_ERROR = 70 };
enum { LEAST_TURNS = 8, GARBAGE = 0x7F };

static unsigned char inputs[NETWORKS_INPUT_BYTES] __attribute__((aligned(64)));
static unsigned char outputs[NETWORKS_OUTPUT_BYTES] __attribute__((aligned(64)));
static unsigned char arena[NETWORKS_ARENA_BYTES] __attribute__((aligned(64)));

static _Noreturn void fail(enum status status, const char* text) {
  platform_complain(text);
  platform_exit((int)status);
}

static void run(int variant) {
  if (networks[variant](inputs, outputs, arena) != 0) fail(STATUS_NETWORK_ERROR, "networks: it failed\n");
}

/* Nanoseconds of one call, from `calls` of them. */
static int64_t take_turn(int variant, int calls) {
  run(variant);
  const int64_t begin = platform_clock();
  for (int i = 0; i < calls; ++i) run(variant);
  return (platform_clock() - begin) / calls;
}

int runner_main(int argc, char** argv) {
  const int64_t samples = argc == 5 ? parse_count(argv[3]) : 0, repeats = argc == 5 ? parse_count(argv[4]) : 0;
  if (samples != NETWORKS || repeats < 1) fail(STATUS_USAGE, "usage: networks IN OUT SAMPLES REPEATS\n");
  const int in = platform_open(argv[1], 0), out = platform_open(argv[2], 1);
  if (in < 0 || platform_read(in, inputs, sizeof inputs) != 0) {
    fail(STATUS_INPUT_FILE, "networks: cannot read the inputs\n");
  }
  platform_close(in);
  for (int variant = 0; variant < NETWORKS; ++variant) {
    memset(outputs, GARBAGE, sizeof outputs);
    memset(arena, GARBAGE, sizeof arena);
    run(variant);
    if (out < 0 || platform_write(out, outputs, sizeof outputs) != 0) {
      fail(STATUS_OUTPUT_FILE, "networks: cannot write the outputs\n");
    }
  }
  if (platform_close(out) != 0) fail(STATUS_OUTPUT_FILE, "networks: cannot store the outputs\n");
  const int64_t one = take_turn(0, 1);
  const int calls = one < NETWORKS_TURN_NS ? (int)(NETWORKS_TURN_NS / (one + 1)) : 1;
  const int64_t begin = platform_clock();
  for (int repeat = 0; repeat < repeats; ++repeat) {
    if (repeat >= LEAST_TURNS && platform_clock() - begin > NETWORKS_TOTAL_NS) break;
    for (int place = 0; place < NETWORKS; ++place) {
      const int variant = repeat % 2 == 0 ? place : NETWORKS - 1 - place;
      print_run(variant, repeat, take_turn(variant, calls));
    }
  }
  return 0;
}
