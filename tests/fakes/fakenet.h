/* A network written by hand in the form that the compiler generates. */
#ifndef FAKENET_H
#define FAKENET_H

#include <stddef.h>
#include <stdint.h>

#define FAKENET_ARENA_BYTES 52
#define FAKENET_ARENA_ALIGN 16
#define FAKENET_INPUT_COUNT 2
#define FAKENET_OUTPUT_COUNT 2
#define FAKENET_INPUT_BYTES {48, 12}
#define FAKENET_OUTPUT_BYTES {48, 4}
#define FAKENET_STEP_COUNT 3

int fakenet_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes);

#endif
