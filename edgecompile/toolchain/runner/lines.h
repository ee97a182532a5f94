/* Numbers and lines of text without printf, which would bring malloc and a file system into firmware. */
#ifndef EDGECOMPILE_LINES_H
#define EDGECOMPILE_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

enum { MAX_COUNT = 1000000000 };

typedef struct {
  char text[160];
  size_t length;
} line;

static inline void add_text(line* to, const char* text) {
  while (*text != '\0' && to->length + 1 < sizeof to->text) to->text[to->length++] = *text++;
  to->text[to->length] = '\0';
}

static inline void add_number(line* to, int64_t number) {
  char digits[24];
  size_t first = sizeof digits - 1;
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  digits[first] = '\0';
  do {
    digits[--first] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (number < 0) digits[--first] = '-';
  add_text(to, &digits[first]);
}

/* A record is one line of JSON: an object of numbers. */
static inline void add_field(line* to, const char* name, int64_t number) {
  add_text(to, to->length == 0 ? "{\"" : ",\"");
  add_text(to, name);
  add_text(to, "\":");
  add_number(to, number);
}

static inline void print_record(line* record) {
  add_text(record, "}\n");
  platform_print(record->text);
}

/* One run took so long; without "ns" where that is negative, as nobody has a clock. */
static inline void print_run(int64_t sample, int64_t repeat, int64_t nanoseconds) {
  line record = {.length = 0};
  add_field(&record, "sample", sample);
  add_field(&record, "repeat", repeat);
  if (nanoseconds >= 0) add_field(&record, "ns", nanoseconds);
  print_record(&record);
}

/* A number from 1 to MAX_COUNT of the command line, else 0. */
static inline int64_t parse_count(const char* text) {
  int64_t number = 0;
  for (; *text >= '0' && *text <= '9' && number <= MAX_COUNT; ++text) number = 10 * number + (*text - '0');
  return *text == '\0' && number <= MAX_COUNT ? number : 0;
}

#endif
