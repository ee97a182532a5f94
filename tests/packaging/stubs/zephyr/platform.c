#include "semihosting.h"

void printk(const char* format, ...);
void sensor_interrupt(void);

/* What the samples print when all is well has nothing to fill in. */
void printk(const char* format, ...) { print(format); }

/* The board's timer is off. */
void sensor_interrupt(void) {}
