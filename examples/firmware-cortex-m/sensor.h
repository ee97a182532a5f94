/* A microphone with a spectral front end: an interrupt for each frame. This one replays recording.h. */
#ifndef SENSOR_H
#define SENSOR_H

#include "recording.h"

/* Starts the interrupts. */
void sensor_start(void);

/* Waits for the next word, [WORD_FRAMES][BANDS], which stays valid until the word after it is complete. NULL when the
 * recording is over. */
const float* sensor_word(void);

/* Frames that came while both buffers were full. */
int sensor_lost(void);

#endif
