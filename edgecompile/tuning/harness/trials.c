/* Measures candidate kernels that compute the same from the same inputs. Speaks the protocol of the runner of
 * networks (toolchain/runner/runner.c), in which a candidate is what a sample is there:
 *
 *   trials IN OUT CANDIDATES REPEATS
 *
 * IN holds the inputs. OUT receives each candidate's outputs, from its first run. All candidates run once, then
 * all of them again, REPEATS times, so that what disturbs the machine disturbs all. For each run a line goes to
 * the standard output: {"sample":0,"repeat":0,"ns":1234}.
 *
 * trials.h is generated: TRIALS functions in `trials`, and the sizes of the buffers. Before each run
 * TRIALS_EVICT_BYTES are read and written, so that a kernel finds its operands as far away as it does in a
 * network. A run is enclosed by two calls of edgecompile_mark, for whoever counts instructions. */
#include "trials.h"

#include <string.h>

#include "platform.h"

enum status { STATUS_USAGE = 64, STATUS_INPUT_FILE = 65, STATUS_OUTPUT_FILE = 66, STATUS_OVERRUN = 71 };
enum { MAX_COUNT = 1000000 };
/* What memory holds that the kernel has not written: large in every type. What lies behind a buffer. */
enum { GARBAGE = 0x7F, CANARY = 0xC5, GUARD_BYTES = 256 };

#define BUFFER(name, bytes) static unsigned char name[(bytes) + GUARD_BYTES] __attribute__((aligned(64)))
BUFFER(inputs, TRIALS_INPUT_BYTES);
BUFFER(outputs, TRIALS_OUTPUT_BYTES);
BUFFER(workspace, TRIALS_WORKSPACE_BYTES);
BUFFER(far_away, TRIALS_EVICT_BYTES);

void edgecompile_mark(void);
__attribute__((noinline, used)) void edgecompile_mark(void) { __asm__ volatile("" ::: "memory"); }

static _Noreturn void fail(enum status status, const char* text) {
  platform_complain(text);
  platform_exit((int)status);
}

static int number(const char* text) {
  int value = 0;
  for (; *text >= '0' && *text <= '9' && value < MAX_COUNT; ++text) value = value * 10 + (*text - '0');
  return *text == '\0' ? value : -1;
}

static char* put(char* to, const char* text) {
  while (*text != '\0') *to++ = *text++;
  return to;
}

static char* put_number(char* to, int64_t value) {
  char digits[24];
  int count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  while (count > 0) *to++ = digits[--count];
  return to;
}

static void print_run(int candidate, int repeat, int64_t nanoseconds) {
  char line[96];
  char* end = put_number(put(line, "{\"sample\":"), candidate);
  end = put_number(put(end, ",\"repeat\":"), repeat);
  if (nanoseconds >= 0) end = put_number(put(end, ",\"ns\":"), nanoseconds);
  *put(end, "}\n") = '\0';
  platform_print(line);
}

static void evict(void) {
  for (size_t i = 0; i < sizeof far_away; i += 64) ++far_away[i];
}

static void check_guard(const unsigned char* guard) {
  for (int i = 0; i < GUARD_BYTES; ++i) {
    if (guard[i] != CANARY) fail(STATUS_OVERRUN, "trials: memory behind a buffer was written\n");
  }
}

static int64_t run(int candidate) {
  evict();
  edgecompile_mark();
  const int64_t begin = platform_clock();
  trials[candidate](inputs, outputs, workspace);
  const int64_t end = platform_clock();
  edgecompile_mark();
  check_guard(outputs + TRIALS_OUTPUT_BYTES);
  check_guard(workspace + TRIALS_WORKSPACE_BYTES);
  return begin < 0 ? -1 : end - begin;
}

static void read_inputs(const char* path) {
  const int file = platform_open(path, 0);
  if (file < 0 || platform_read(file, inputs, TRIALS_INPUT_BYTES) != 0) {
    fail(STATUS_INPUT_FILE, "trials: cannot read the inputs\n");
  }
  platform_close(file);
}

int runner_main(int argc, char** argv) {
  const int count = argc == 5 ? number(argv[3]) : -1, repeats = argc == 5 ? number(argv[4]) : -1;
  if (count != TRIALS || repeats < 1) fail(STATUS_USAGE, "usage: trials IN OUT CANDIDATES REPEATS\n");
  read_inputs(argv[1]);
  memset(outputs + TRIALS_OUTPUT_BYTES, CANARY, GUARD_BYTES);
  memset(workspace, CANARY, sizeof workspace);
  const int file = platform_open(argv[2], 1);
  if (file < 0) fail(STATUS_OUTPUT_FILE, "trials: cannot create the output file\n");
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (int candidate = 0; candidate < TRIALS; ++candidate) {
      if (repeat == 0) memset(outputs, GARBAGE, TRIALS_OUTPUT_BYTES);
      print_run(candidate, repeat, run(candidate));
      if (repeat == 0 && platform_write(file, outputs, TRIALS_OUTPUT_BYTES) != 0) {
        fail(STATUS_OUTPUT_FILE, "trials: cannot write the outputs\n");
      }
    }
  }
  if (platform_close(file) != 0) fail(STATUS_OUTPUT_FILE, "trials: cannot store the outputs\n");
  return 0;
}
