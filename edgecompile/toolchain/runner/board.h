/* What a board's own C file implements; the device file names it (see docs/devices.md). */
#ifndef EDGECOMPILE_BOARD_H
#define EDGECOMPILE_BOARD_H

#include <stdint.h>

/* Called first: clocks, the serial line, the counter. */
void board_start(void);

/* One byte of the serial line, waiting until it is there or sent. Not called with semihosting. */
int board_getchar(void);
void board_putchar(int byte);

/* Cycles or nanoseconds since board_start, as the device file says. */
int64_t board_count(void);

#endif
