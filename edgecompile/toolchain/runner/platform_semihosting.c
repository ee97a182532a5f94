/* Arm microcontrollers under an emulator or a debug probe: files and command line by semihosting.
 * Operations as in Arm's "Semihosting for AArch32 and AArch64" specification. */
#include "command_line.h"

enum operation {
  SYS_OPEN = 0x01,
  SYS_CLOSE = 0x02,
  SYS_WRITE0 = 0x04,
  SYS_WRITE = 0x05,
  SYS_READ = 0x06,
  SYS_GET_CMDLINE = 0x15,
  SYS_EXIT_EXTENDED = 0x20,
};
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };

/* A board has these, an emulator has not. */
__attribute__((weak)) void board_start(void);
__attribute__((weak)) int64_t board_count(void);

static int semihost(int operation, const void* block) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

int platform_open(const char* path, int for_writing) {
  const uintptr_t mode = for_writing ? OPEN_WRITE_BINARY : OPEN_READ_BINARY;
  const uintptr_t block[3] = {(uintptr_t)path, mode, strlen(path)};
  return semihost(SYS_OPEN, block);
}

/* SYS_READ and SYS_WRITE return how many bytes were not moved. A pipe gives what it has. */
int platform_read(int file, void* data, size_t bytes) {
  unsigned char* next = data;
  while (bytes > 0) {
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)next, bytes};
    const size_t left = (size_t)semihost(SYS_READ, block);
    if (left >= bytes) return -1;
    next += bytes - left;
    bytes = left;
  }
  return 0;
}

int platform_write(int file, const void* data, size_t bytes) {
  const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
  return bytes == 0 || semihost(SYS_WRITE, block) == 0 ? 0 : -1;
}

int platform_close(int file) {
  const uintptr_t block[1] = {(uintptr_t)file};
  return semihost(SYS_CLOSE, block);
}

/* An emulator counts instructions; its time would say nothing about the device. */
int64_t platform_clock(void) { return board_count ? board_count() : -1; }

void platform_print(const char* text) { semihost(SYS_WRITE0, text); }

void platform_complain(const char* text) { semihost(SYS_WRITE0, text); }

_Noreturn void platform_exit(int status) {
  const uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)status};
  for (;;) semihost(SYS_EXIT_EXTENDED, block);
}

int main(void) {
  static char line[256];
  uintptr_t block[2] = {(uintptr_t)line, sizeof line};
  if (board_start) board_start();
  if (semihost(SYS_GET_CMDLINE, block) != 0) line[0] = '\0';
  return run_line(line);
}
