#include <stddef.h>

void printk(const char* format, ...);
