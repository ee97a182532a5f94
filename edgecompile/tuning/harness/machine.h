/* How candidates are executed: by this processor (processor.c), or by a GPU (gpu.c).
 *
 * trials.h is generated. It says how many TRIALS there are, and the sizes of the buffers. */
#ifndef EDGECOMPILE_MACHINE_H
#define EDGECOMPILE_MACHINE_H

#include <stdint.h>

#include "trials.h"

enum status {
  STATUS_USAGE = 64,
  STATUS_INPUT_FILE = 65,
  STATUS_OUTPUT_FILE = 66,
  STATUS_CANDIDATE_ERROR = 70,
  STATUS_OVERRUN = 71,
  STATUS_GPU = 74,
};

/* Inputs to measure with, and to check with. What memory holds that no kernel has written: large in every type.
 * What lies behind a buffer. */
enum { SETS = 2, GARBAGE = 0x7F, CANARY = 0xC5, GUARD_BYTES = 256 };

extern unsigned char inputs[SETS][TRIALS_INPUT_BYTES];
extern unsigned char outputs[TRIALS_OUTPUT_BYTES + GUARD_BYTES];

_Noreturn void fail(enum status status, const char* text);

/* Ends the program if what lies behind a buffer was changed. */
void check_guard(const unsigned char* guard);

/* Called once, when there are inputs. */
void machine_open(void);

/* Sets what candidates write to GARBAGE. */
void machine_clear(void);

/* Runs a candidate with one of the sets of inputs, its operands as far away as they are in a network. Returns
 * nanoseconds, or a negative number without a clock. */
int64_t machine_run(int candidate, int set);

/* Brings what the last run has written to `outputs`. */
void machine_fetch(void);

#endif
