/* Cuts a line at its spaces, in place, and runs the runner with the words; returns its exit status. */
#ifndef EDGECOMPILE_COMMAND_LINE_H
#define EDGECOMPILE_COMMAND_LINE_H

#include <string.h>

#include "platform.h"

enum { MAX_ARGUMENTS = 8 };

static int run_line(char* line) {
  static char* argv[MAX_ARGUMENTS];
  int argc = 0;
  for (char* next = line; *next != '\0' && argc < MAX_ARGUMENTS;) {
    argv[argc++] = next;
    next += strcspn(next, " ");
    if (*next != '\0') *next++ = '\0';
  }
  return runner_main(argc, argv);
}

#endif
