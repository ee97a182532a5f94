/* Reset and faults of Armv7-M and Armv8.1-M: from power-up to main, no vendor code.
 * Register addresses and bits as in the Armv7-M and Armv8-M architecture reference manuals. */
#include <stdint.h>
#include <string.h>

#include "platform.h"

#define CCR (*(volatile uint32_t*)0xE000ED14u)
#define CFSR (*(volatile uint32_t*)0xE000ED28u)
#define CPACR (*(volatile uint32_t*)0xE000ED88u)
enum { EXIT_FAULT = 79 };

/* From the linker script. */
extern uint32_t stack_bottom, stack_top;
extern uint32_t data_load_start, data_start, data_end, bss_start, bss_end;

int main(void);
_Noreturn void reset_handler(void);

static size_t distance(const uint32_t* first, const uint32_t* last) {
  return (size_t)((uintptr_t)last - (uintptr_t)first);
}

_Noreturn void reset_handler(void) {
#if __ARM_ARCH >= 8
  __asm__ volatile("msr msplim, %0" : : "r"(&stack_bottom)); /* the stack may not grow below this */
#endif
  CPACR |= 0xFu << 20; /* coprocessors 10 and 11: floating point, and MVE where there is one */
#if defined(__ARM_FEATURE_MVE)
  CCR |= 1u << 19; /* LOB: the loop end instruction may skip the branch */
#endif
  __asm__ volatile("dsb\n isb" ::: "memory");
  memcpy(&data_start, &data_load_start, distance(&data_start, &data_end));
  memset(&bss_start, 0, distance(&bss_start, &bss_end));
  platform_exit(main());
}

/* One for all: the cause is in the configurable fault status register. */
static _Noreturn void fault_handler(void) {
  char text[] = "runner: processor fault, CFSR 0x00000000\n";
  const uint32_t cause = CFSR;
  for (int digit = 0; digit < 8; ++digit) {
    text[sizeof text - 3 - (size_t)digit] = "0123456789abcdef"[(cause >> (4 * digit)) & 0xF];
  }
  platform_complain(text);
  platform_exit(EXIT_FAULT);
}

typedef union {
  void (*handler)(void);
  const uint32_t* address;
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.address = &stack_top},
    {.handler = reset_handler},
    /* non-maskable interrupt, hard fault, memory management, bus fault, usage fault, secure fault */
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
    {.handler = fault_handler},
};
