/* Linux, Android and other POSIX systems. */
#define _POSIX_C_SOURCE 200809L

#include "platform.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int platform_open(const char* path, int for_writing) {
  return for_writing ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : open(path, O_RDONLY);
}

int platform_read(int file, void* data, size_t bytes) {
  unsigned char* next = data;
  while (bytes > 0) {
    const ssize_t moved = read(file, next, bytes);
    if (moved <= 0) return -1;
    next += moved;
    bytes -= (size_t)moved;
  }
  return 0;
}

int platform_write(int file, const void* data, size_t bytes) {
  const unsigned char* next = data;
  while (bytes > 0) {
    const ssize_t moved = write(file, next, bytes);
    if (moved <= 0) return -1;
    next += moved;
    bytes -= (size_t)moved;
  }
  return 0;
}

int platform_close(int file) { return close(file); }

int64_t platform_clock(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return -1;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void platform_print(const char* text) { fputs(text, stdout); }

void platform_complain(const char* text) { fputs(text, stderr); }

_Noreturn void platform_exit(int status) { exit(status); }

/* Lines leave as they come: when the program crashes they tell how far it was. */
int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  return runner_main(argc, argv);
}
