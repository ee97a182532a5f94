/* Text and the end of the program, by way of the emulator or debugger. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

void print(const char* text);
_Noreturn void end_program(int status);

#endif
