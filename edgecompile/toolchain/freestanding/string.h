/* The part of the C standard's <string.h> that generated code uses, for compilers without a C library.
 * Who links the generated library brings the definitions. */
#ifndef EDGECOMPILE_FREESTANDING_STRING_H
#define EDGECOMPILE_FREESTANDING_STRING_H

#include <stddef.h>

void* memcpy(void* restrict destination, const void* restrict source, size_t count);
void* memmove(void* destination, const void* source, size_t count);
void* memset(void* destination, int value, size_t count);

#endif
