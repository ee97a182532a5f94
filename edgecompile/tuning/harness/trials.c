/* Measures candidate kernels that compute the same from the same inputs. Speaks the protocol of the runner of
 * networks (toolchain/runner/runner.c); what a sample is there, is here a candidate with one of two sets of
 * inputs:
 *
 *   trials IN OUT SAMPLES REPEATS
 *
 * IN holds a byte for each candidate, which is not 0 when it shall run, then both sets of inputs. OUT receives
 * the outputs of each candidate from the second set, in order, then those from the first set. All candidates
 * run once with the second set, which is for checking; then all of them with the first one, REPEATS times, so
 * that what disturbs the machine disturbs all. For each run a line goes to the standard output:
 * {"sample":0,"repeat":0,"ns":1234}. Whoever reads the lines knows which candidate ran when it all ended. */
#include "lines.h"
#include "machine.h"
#include "platform.h"

static unsigned char selected[TRIALS];
unsigned char inputs[SETS][TRIALS_INPUT_BYTES] __attribute__((aligned(64)));
unsigned char outputs[TRIALS_OUTPUT_BYTES + GUARD_BYTES] __attribute__((aligned(64)));

_Noreturn void fail(enum status status, const char* text) {
  platform_complain(text);
  platform_exit((int)status);
}

void check_guard(const unsigned char* guard) {
  for (int i = 0; i < GUARD_BYTES; ++i) {
    if (guard[i] != CANARY) fail(STATUS_OVERRUN, "trials: memory behind a buffer was written\n");
  }
}

/* Runs the selected candidates one after the other, and writes their outputs unless `file` is negative. */
static void run_all(int set, int sample, int repeat, int file) {
  for (int candidate = 0; candidate < TRIALS; ++candidate) {
    if (!selected[candidate]) continue;
    if (file >= 0) machine_clear();
    const int64_t nanoseconds = machine_run(candidate, set);
    if (file >= 0) machine_fetch();
    print_run(sample++, repeat, nanoseconds);
    if (file >= 0 && platform_write(file, outputs, TRIALS_OUTPUT_BYTES) != 0) {
      fail(STATUS_OUTPUT_FILE, "trials: cannot write the outputs\n");
    }
  }
}

/* Returns how many candidates are selected. */
static int read_inputs(const char* path) {
  const int file = platform_open(path, 0);
  int failed = file < 0 || platform_read(file, selected, TRIALS) != 0;
  for (int set = 0; set < SETS && !failed; ++set) {
    failed = platform_read(file, inputs[set], TRIALS_INPUT_BYTES) != 0;
  }
  if (failed) fail(STATUS_INPUT_FILE, "trials: cannot read the inputs\n");
  platform_close(file);
  int count = 0;
  for (int candidate = 0; candidate < TRIALS; ++candidate) count += selected[candidate] != 0;
  return count;
}

int runner_main(int argc, char** argv) {
  const int64_t samples = argc == 5 ? parse_count(argv[3]) : 0, repeats = argc == 5 ? parse_count(argv[4]) : 0;
  if (samples < 1 || repeats < 1) fail(STATUS_USAGE, "usage: trials IN OUT SAMPLES REPEATS\n");
  const int count = read_inputs(argv[1]);
  if (samples != SETS * count) fail(STATUS_USAGE, "trials: SAMPLES and what is selected do not fit\n");
  const int file = platform_open(argv[2], 1);
  if (file < 0) fail(STATUS_OUTPUT_FILE, "trials: cannot create the output file\n");
  machine_open();
  run_all(1, count, 0, file);
  run_all(0, 0, 0, file);
  for (int repeat = 1; repeat < repeats; ++repeat) run_all(0, 0, repeat, -1);
  if (platform_close(file) != 0) fail(STATUS_OUTPUT_FILE, "trials: cannot store the outputs\n");
  return 0;
}
