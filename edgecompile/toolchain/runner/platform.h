/* What the runner needs from the machine it runs on. One file implements it for each kind of machine. */
#ifndef EDGECOMPILE_PLATFORM_H
#define EDGECOMPILE_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Opens a file for reading, or creates it for writing. Returns a handle, or a negative number. */
int platform_open(const char* path, int for_writing);

/* Moves exactly `bytes` bytes; returns 0, or -1 when that is not possible. */
int platform_read(int file, void* data, size_t bytes);
int platform_write(int file, const void* data, size_t bytes);

/* Returns 0 when everything that was written is stored. */
int platform_close(int file);

/* Nanoseconds since some moment, or whatever a board counts; negative on a machine without a clock. */
int64_t platform_clock(void);

/* One line of results, and one line on what went wrong; `text` ends with a newline. */
void platform_print(const char* text);
void platform_complain(const char* text);

/* Ends the program. */
_Noreturn void platform_exit(int status);

/* Implemented by runner.c and called by the platform with the command line; returns the exit status. */
int runner_main(int argc, char** argv);

#endif
