/* From reset to main. Addresses as in the Armv7-M architecture reference manual. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

#define CPACR (*(volatile uint32_t*)0xE000ED88u)

/* From the linker script. */
extern unsigned char data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern const uint32_t stack_top;

int main(void);
void sensor_interrupt(void);

_Noreturn void reset_handler(void) {
  CPACR |= 0xFu << 20; /* floating point */
  __asm__ volatile("dsb\n isb" ::: "memory");
  memcpy(data_start, data_load, (size_t)(data_end - data_start));
  memset(bss_start, 0, (size_t)(bss_end - bss_start));
  end_program(main());
}

static _Noreturn void fault(void) {
  print("processor fault\n");
  end_program(99);
}

typedef union {
  void (*handler)(void);
  const uint32_t* address;
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    [0] = {.address = &stack_top},
    [1] = {.handler = reset_handler},
    [2] = {.handler = fault},
    [3] = {.handler = fault},
    [4] = {.handler = fault},
    [5] = {.handler = fault},
    [6] = {.handler = fault},
    [15] = {.handler = sensor_interrupt}, /* SysTick */
};
