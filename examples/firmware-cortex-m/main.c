/* Listens to a sensor and says which word it heard. */
#include <stddef.h>

#include "keywords.h"
#include "semihosting.h"
#include "sensor.h"

static _Alignas(KEYWORDS_ARENA_ALIGN) unsigned char arena[KEYWORDS_ARENA_BYTES];

static int largest(const float* scores, int count) {
  int best = 0;
  for (int i = 1; i < count; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

int main(void) {
  enum { WORDS = sizeof words / sizeof words[0] };
  float scores[WORDS];
  sensor_start();
  for (const float* word = sensor_word(); word != NULL; word = sensor_word()) {
    if (keywords_infer(word, scores, arena) != KEYWORDS_OK) {
      print("the network failed\n");
      return 1;
    }
    print("heard: ");
    print(words[largest(scores, WORDS)]);
    print("\n");
  }
  if (sensor_lost() != 0) {
    print("the sensor was faster than the network\n");
    return 2;
  }
  print("done\n");
  return 0;
}
