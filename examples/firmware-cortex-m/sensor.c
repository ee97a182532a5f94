#include "sensor.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* SysTick, as in the Armv7-M architecture reference manual. */
#define SYST_CSR (*(volatile uint32_t*)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t*)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t*)0xE000E018u)
enum { TICKS_A_FRAME = 25000 }; /* a millisecond of the board's 25 MHz */

/* Two words: the interrupt fills one while the network reads the other. */
static float buffers[2][WORD_FRAMES][BANDS];
static volatile int written; /* words that are complete; only the interrupt writes it */
static volatile int taken;   /* words that main asked for; only main writes it */
static volatile int lost;
static int frame;

void sensor_interrupt(void) {
  if (frame == RECORDED_FRAMES) return;
  /* The word that main has is `taken - 1`; the next one may be filled, the one after that may not. */
  if (written > taken) {
    ++lost;
    return;
  }
  memcpy(buffers[written & 1][frame % WORD_FRAMES], recording[frame], sizeof recording[0]);
  if (++frame % WORD_FRAMES == 0) ++written;
}

void sensor_start(void) {
  SYST_RVR = TICKS_A_FRAME - 1;
  SYST_CVR = 0;
  SYST_CSR = 7; /* processor clock, interrupt, on */
}

const float* sensor_word(void) {
  const int word = taken;
  if (word == RECORDED_FRAMES / WORD_FRAMES) return NULL;
  while (written <= word) __asm__ volatile("wfi");
  taken = word + 1;
  return buffers[word & 1][0];
}

int sensor_lost(void) { return lost; }
