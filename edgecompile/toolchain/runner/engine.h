/* A network that is an engine on a GPU, in the form that runner.c takes: a function of buffers.
 *
 * Compile with
 *   ENGINE_HEADER   the header of the network, with quotes
 *   ENGINE_LOWER    the prefix of its functions
 *   ENGINE_UPPER    the prefix of its macros
 *   ENGINE_OPTIONS  what it is created with (0 if not given)
 */
#ifndef EDGECOMPILE_ENGINE_H
#define EDGECOMPILE_ENGINE_H

#include ENGINE_HEADER

#define ENGINE_GLUE_(left, right) left##right
#define ENGINE_GLUE(left, right) ENGINE_GLUE_(left, right)
#define ENGINE_MACRO(field) ENGINE_GLUE(ENGINE_UPPER, field)
#define ENGINE_NAME(field) ENGINE_GLUE(ENGINE_LOWER, field)

#define ENGINE_INPUT_COUNT ENGINE_MACRO(_INPUT_COUNT)
#define ENGINE_OUTPUT_COUNT ENGINE_MACRO(_OUTPUT_COUNT)
#define ENGINE_INPUT_BYTES ENGINE_MACRO(_INPUT_BYTES)
#define ENGINE_OUTPUT_BYTES ENGINE_MACRO(_OUTPUT_BYTES)
#define ENGINE_ARENA_BYTES 0 /* it is on the GPU */
#define ENGINE_ARENA_ALIGN 64

#ifndef ENGINE_OPTIONS
#define ENGINE_OPTIONS 0
#endif

/* Runs the network on GPU 0, with an engine that the first call makes. Ends the program when the GPU fails. */
int engine_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes);

#endif
