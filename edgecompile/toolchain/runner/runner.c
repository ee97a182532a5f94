/* Runs a compiled network on samples from a file, and watches that it keeps its promises.
 *
 *   runner IN OUT SAMPLES REPEATS [TRACE_OUT]
 *
 * IN holds SAMPLES samples back to back, each the network's inputs in order; OUT receives the outputs in the
 * same way. Each sample is run REPEATS times. One JSON object a line goes to the standard output:
 * {"sample":0,"repeat":0,"ns":1234} for a run, {"step":0,"ns":123} for a kernel call of the traced run.
 *
 * Compile with
 *   NETWORK_HEADER     the header of the network, with quotes
 *   NETWORK_RUN        its entry function
 *   NETWORK_UPPER      the prefix of its macros
 *   NETWORK_IO_BYTES   the sum of the bytes of all inputs and outputs
 *   NETWORK_THREADS    the number of threads, when it shall run on several; then also
 *     NETWORK_THREADS_HEADER  the header of the network's executor, with quotes
 *     NETWORK_LOWER           the prefix of its functions
 *   EDGECOMPILE_TRACE  when the entry is compiled with it too; TRACE_OUT is accepted then, and receives every
 *                      step's tensors in order for the last run of the last sample.
 *
 * A run is enclosed by two calls of edgecompile_mark, for whoever counts instructions. In the traced run each
 * step is enclosed by such a pair, and so is the rest after the last step.
 */
#include NETWORK_HEADER
#ifdef NETWORK_THREADS
#include NETWORK_THREADS_HEADER
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lines.h"
#include "platform.h"

#define GLUE_(left, right) left##right
#define GLUE(left, right) GLUE_(left, right)
#define NETWORK(field) GLUE(NETWORK_UPPER, field)

enum status {
  STATUS_USAGE = 64,
  STATUS_INPUT_FILE = 65,
  STATUS_OUTPUT_FILE = 66,
  STATUS_LAYOUT = 67,
  STATUS_NO_THREADS = 68,
  STATUS_NETWORK_ERROR = 70,  /* the entry function returned something else than 0 */
  STATUS_OVERRUN = 71,        /* memory outside of a buffer was written */
  STATUS_INPUT_CHANGED = 72,  /* an input was written */
  STATUS_NOT_REPEATABLE = 73, /* running a sample again gave another output */
};

/* What memory holds that the network has not written. Garbage is large in every type: 3.4e38 as float,
 * 1.4e306 as double, 127 as int8. A network that reads it cannot come out right by accident. */
enum { GARBAGE = 0x7F, CANARY = 0xC5 };

enum { INPUTS = NETWORK(_INPUT_COUNT), OUTPUTS = NETWORK(_OUTPUT_COUNT), BLOCKS = 1 + INPUTS + OUTPUTS };
enum { ALIGN = NETWORK(_ARENA_ALIGN) > 64 ? NETWORK(_ARENA_ALIGN) : 64, GUARD_BYTES = 4 * ALIGN };
#define POOL_BYTES (NETWORK(_ARENA_BYTES) + NETWORK_IO_BYTES + (BLOCKS + 1) * (GUARD_BYTES + ALIGN))

/* All memory of the network, one block after the other: arena, inputs, outputs. What lies between two
 * blocks, and before the first and after the last, holds canaries. */
static unsigned char pool[POOL_BYTES] __attribute__((aligned(ALIGN)));

typedef struct {
  unsigned char* data;
  size_t bytes;
} block;

static block blocks[BLOCKS];
static block* const arena = &blocks[0];
static block* const inputs = &blocks[1];
static block* const outputs = &blocks[1 + INPUTS];

/* One more than needed: C knows no arrays of length 0. */
static const size_t input_bytes[INPUTS + 1] = NETWORK(_INPUT_BYTES);
static const size_t output_bytes[OUTPUTS + 1] = NETWORK(_OUTPUT_BYTES);
static const void* input_pointers[INPUTS + 1];
static void* output_pointers[OUTPUTS + 1];

/* ---- messages ---- */

/* "runner: WHAT NUMBER AFTER" */
static _Noreturn void fail(enum status status, const char* what, int64_t number, const char* after) {
  line message = {.length = 0};
  add_text(&message, "runner: ");
  add_text(&message, what);
  add_number(&message, number);
  add_text(&message, after);
  add_text(&message, "\n");
  platform_complain(message.text);
  platform_exit((int)status);
}

/* ---- memory ---- */

static size_t round_up(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

/* Gives `bytes` bytes of the pool from `offset` on to block `index`; returns the offset for the next. */
static size_t place(int index, size_t offset, size_t bytes) {
  blocks[index].data = pool + offset;
  blocks[index].bytes = bytes;
  const size_t next = offset + round_up(bytes) + GUARD_BYTES;
  if (next > POOL_BYTES) fail(STATUS_LAYOUT, "header and NETWORK_IO_BYTES disagree at block ", index, "");
  return next;
}

static void lay_out_memory(void) {
  memset(pool, CANARY, sizeof pool);
  size_t offset = place(0, GUARD_BYTES, NETWORK(_ARENA_BYTES));
  for (int i = 0; i < INPUTS; ++i) {
    offset = place(1 + i, offset, input_bytes[i]);
    input_pointers[i] = inputs[i].data;
  }
  for (int i = 0; i < OUTPUTS; ++i) {
    offset = place(1 + INPUTS + i, offset, output_bytes[i]);
    output_pointers[i] = outputs[i].data;
  }
}

static void check_canaries(const unsigned char* first, const unsigned char* end, int near_block) {
  for (; first < end; ++first) {
    if (*first == CANARY) continue;
    const int input = near_block - 1, output = input - INPUTS;
    const int64_t where = first - arena->data;
    if (input < 0) fail(STATUS_OVERRUN, "memory beside the arena was written: byte ", where, "");
    if (output < 0) fail(STATUS_OVERRUN, "memory beside input ", input, " was written");
    fail(STATUS_OVERRUN, "memory beside output ", output, " was written");
  }
}

static void check_memory(void) {
  check_canaries(arena->data - GUARD_BYTES, arena->data, 0);
  for (int i = 0; i < BLOCKS; ++i) {
    const unsigned char* const end = blocks[i].data + blocks[i].bytes;
    check_canaries(end, i + 1 < BLOCKS ? blocks[i + 1].data : end + GUARD_BYTES, i);
  }
}

/* FNV-1a over the bytes of `count` blocks. */
static uint32_t checksum(const block* first, int count) {
  uint32_t hash = 2166136261u;
  for (int i = 0; i < count; ++i) {
    for (size_t k = 0; k < first[i].bytes; ++k) hash = (hash ^ first[i].data[k]) * 16777619u;
  }
  return hash;
}

/* ---- marks and tracing ---- */

void edgecompile_mark(void);
__attribute__((noinline, used)) void edgecompile_mark(void) { __asm__ volatile("" ::: "memory"); }

static int trace_file = -1; /* negative: the present run is not traced */

#ifdef EDGECOMPILE_TRACE
static int64_t step_begin;

void edgecompile_trace(int32_t step, const void* const* tensors, const size_t* bytes, int32_t count);
void edgecompile_trace(int32_t step, const void* const* tensors, const size_t* bytes, int32_t count) {
  if (trace_file < 0) return;
  edgecompile_mark();
  const int64_t now = platform_clock();
  if (now >= 0) {
    line record = {.length = 0};
    add_field(&record, "step", step);
    add_field(&record, "ns", now - step_begin);
    print_record(&record);
  }
  for (int32_t i = 0; i < count; ++i) {
    if (platform_write(trace_file, tensors[i], bytes[i]) != 0) {
      fail(STATUS_OUTPUT_FILE, "cannot write the trace of step ", step, "");
    }
  }
  step_begin = platform_clock();
  edgecompile_mark();
}

static void begin_trace(const char* path) {
  trace_file = platform_open(path, 1);
  if (trace_file < 0) fail(STATUS_OUTPUT_FILE, "cannot create the trace file, error ", trace_file, "");
  step_begin = platform_clock();
}
#endif

/* ---- running ---- */

#ifdef NETWORK_THREADS
#define LOWER(field) GLUE(NETWORK_LOWER, field)
static const LOWER(_executor) * executor;

static void start_threads(void) {
  executor = LOWER(_threads_create)(NETWORK_THREADS);
  if (executor == NULL) fail(STATUS_NO_THREADS, "cannot start threads: ", NETWORK_THREADS, "");
}

static void end_threads(void) { LOWER(_threads_destroy)(executor); }

static int run_network(void) {
  return GLUE(NETWORK_RUN, _parallel)(input_pointers, output_pointers, arena->data, arena->bytes, executor);
}
#else
static void start_threads(void) {}

static void end_threads(void) {}

static int run_network(void) {
  return NETWORK_RUN(input_pointers, output_pointers, arena->data, arena->bytes);
}
#endif

static void run_once(int64_t sample, int64_t repeat) {
  const int64_t begin = platform_clock();
  edgecompile_mark();
  const int result = run_network();
  edgecompile_mark();
  const int64_t end = platform_clock();
  if (result != 0) fail(STATUS_NETWORK_ERROR, "the network returned ", result, "");
  check_memory();
  if (begin >= 0 && trace_file < 0) print_run(sample, repeat, end - begin);
}

static void run_sample(int64_t sample, int64_t repeats, const char* trace_path) {
  const uint32_t given = checksum(inputs, INPUTS);
  uint32_t first_result = 0;
  memset(arena->data, GARBAGE, arena->bytes);
  for (int i = 0; i < OUTPUTS; ++i) memset(outputs[i].data, GARBAGE, outputs[i].bytes);
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
#ifdef EDGECOMPILE_TRACE
    if (trace_path != NULL && repeat + 1 == repeats) begin_trace(trace_path);
#else
    (void)trace_path;
#endif
    run_once(sample, repeat);
    if (checksum(inputs, INPUTS) != given) {
      fail(STATUS_INPUT_CHANGED, "an input was changed in sample ", sample, "");
    }
    const uint32_t result = checksum(outputs, OUTPUTS);
    if (repeat == 0) first_result = result;
    if (result != first_result) fail(STATUS_NOT_REPEATABLE, "another output in repeat ", repeat, "");
  }
}

static void run_samples(int in, int out, int64_t samples, int64_t repeats, const char* trace_path) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    for (int i = 0; i < INPUTS; ++i) {
      if (platform_read(in, inputs[i].data, inputs[i].bytes) != 0) {
        fail(STATUS_INPUT_FILE, "the input file ends in sample ", sample, "");
      }
    }
    run_sample(sample, repeats, sample + 1 == samples ? trace_path : NULL);
    for (int i = 0; i < OUTPUTS; ++i) {
      if (platform_write(out, outputs[i].data, outputs[i].bytes) != 0) {
        fail(STATUS_OUTPUT_FILE, "cannot write the output of sample ", sample, "");
      }
    }
  }
}

int runner_main(int argc, char** argv) {
#ifdef EDGECOMPILE_TRACE
  const int most_arguments = 6;
#else
  const int most_arguments = 5;
#endif
  if (argc < 5 || argc > most_arguments) fail(STATUS_USAGE, "wrong number of arguments: ", argc - 1, "");
  const int64_t samples = parse_count(argv[3]), repeats = parse_count(argv[4]);
  if (samples == 0 || repeats == 0) {
    fail(STATUS_USAGE, "SAMPLES and REPEATS are positive numbers up to ", MAX_COUNT, "");
  }
  lay_out_memory();
  const int in = platform_open(argv[1], 0), out = platform_open(argv[2], 1);
  if (in < 0) fail(STATUS_INPUT_FILE, "cannot open the input file, error ", in, "");
  if (out < 0) fail(STATUS_OUTPUT_FILE, "cannot create the output file, error ", out, "");
  start_threads();
  run_samples(in, out, samples, repeats, argc == 6 ? argv[5] : NULL);
  end_threads();
  int failed = platform_close(out) != 0;
  if (trace_file >= 0) failed |= platform_close(trace_file) != 0;
  if (failed) fail(STATUS_OUTPUT_FILE, "cannot store the output, error ", -1, "");
  platform_close(in);
  return 0;
}
