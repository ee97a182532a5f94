/* An Arm MPS2 board, which qemu emulates: its first serial line and timer. Registers as in Arm's application
 * note AN386 and the technical reference of the CMSDK. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t*)(address))
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CONTROL REGISTER(0x40004008u)
#define UART_DIVIDER REGISTER(0x40004010u)
#define TIMER_CONTROL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
enum { TRANSMIT_FULL = 1, RECEIVE_FULL = 2, ENABLE_BOTH = 3, ENABLE = 1 };

void board_start(void) {
  UART_DIVIDER = 16;
  UART_CONTROL = ENABLE_BOTH;
  TIMER_RELOAD = 0xFFFFFFFFu;
  TIMER_VALUE = 0xFFFFFFFFu;
  TIMER_CONTROL = ENABLE;
}

int board_getchar(void) {
  while (!(UART_STATE & RECEIVE_FULL)) {
  }
  return (int)UART_DATA;
}

void board_putchar(int byte) {
  while (UART_STATE & TRANSMIT_FULL) {
  }
  UART_DATA = (uint32_t)byte;
}

int64_t board_count(void) { return 0xFFFFFFFFu - TIMER_VALUE; }
