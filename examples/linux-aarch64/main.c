/* Says which words are in a file of 32-bit floats, [words][frames][bands]. */
#include <stdio.h>

#include "keywords.h"

static const char* const words[] = {"noise", "up", "down", "twice"};
static const size_t word_bytes[] = KEYWORDS_INPUT_BYTES;

static _Alignas(KEYWORDS_ARENA_ALIGN) unsigned char arena[KEYWORDS_ARENA_BYTES];

int main(int argc, char** argv) {
  enum { WORDS = sizeof words / sizeof words[0] };
  static float word[4096];
  float scores[WORDS];
  FILE* const file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (file == NULL || word_bytes[0] > sizeof word) {
    fputs("usage: listen RECORDING.f32\n", stderr);
    return 2;
  }
  while (fread(word, 1, word_bytes[0], file) == word_bytes[0]) {
    if (keywords_infer(word, scores, arena) != KEYWORDS_OK) return 1;
    int best = 0;
    for (int i = 1; i < WORDS; ++i) best = scores[i] > scores[best] ? i : best;
    printf("heard: %-5s  score %.2f\n", words[best], scores[best]);
  }
  fclose(file);
  return 0;
}
