/* Microcontrollers with nothing but a serial line: files and command line in lines of text.
 *
 * The board asks and the host answers, so that nothing is sent to a board that does not listen:
 *
 *   @args               the host sends the command line
 *   @read COUNT         the host sends the next COUNT bytes of the input file, as hexadecimal digits and a sum
 *   @write FILE HEX SUM the bytes HEX belong at the end of FILE
 *   @exit STATUS        the program has ended
 *
 * SUM is the 32 bit FNV-1a hash of the bytes, as eight digits. All other lines are results and complaints. */
#include "board.h"
#include "command_line.h"

enum { CHUNK = 64, INPUT = 0, SUM_DIGITS = 8 };
enum { FILES = 4 };
static const char digits[] = "0123456789abcdef";

/* Names of the files that are written; place 0 is the input. */
static const char* names[FILES];
static int files = 1;

static void put(const char* text) {
  while (*text != '\0') board_putchar((unsigned char)*text++);
}

static void put_number(unsigned number) {
  char text[12];
  int first = sizeof text - 1;
  text[first] = '\0';
  do {
    text[--first] = digits[number % 10];
    number /= 10;
  } while (number != 0);
  put(text + first);
}

static void put_hex(uint32_t value, int count) {
  while (count-- > 0) board_putchar(digits[(value >> (4 * count)) & 0xF]);
}

/* Reads a line without its end; what does not fit is lost. */
static void get_line(char* line, size_t size) {
  size_t length = 0;
  for (;;) {
    const int byte = board_getchar();
    if (byte == '\n') break;
    if (byte != '\r' && length + 1 < size) line[length++] = (char)byte;
  }
  line[length] = '\0';
}

static uint32_t hash(const unsigned char* data, size_t bytes) {
  uint32_t sum = 2166136261u;
  for (size_t i = 0; i < bytes; ++i) sum = (sum ^ data[i]) * 16777619u;
  return sum;
}

/* The number that `count` hexadecimal digits stand for; whatever else they are changes the sum. */
static uint32_t parse_hex(const char* text, int count) {
  uint32_t value = 0;
  while (count-- > 0) {
    const char* digit = memchr(digits, *text++, 16);
    value = value << 4 | (digit == NULL ? 0 : (uint32_t)(digit - digits));
  }
  return value;
}

int platform_open(const char* path, int for_writing) {
  if (!for_writing) return INPUT;
  if (files == FILES) return -1;
  names[files] = path;
  return files++;
}

static int read_chunk(unsigned char* data, size_t bytes) {
  char line[2 * CHUNK + SUM_DIGITS + 1];
  put("@read ");
  put_number((unsigned)bytes);
  put("\n");
  get_line(line, sizeof line);
  if (strlen(line) != 2 * bytes + SUM_DIGITS) return -1;
  for (size_t i = 0; i < bytes; ++i) data[i] = (unsigned char)parse_hex(line + 2 * i, 2);
  return parse_hex(line + 2 * bytes, SUM_DIGITS) == hash(data, bytes) ? 0 : -1;
}

int platform_read(int file, void* data, size_t bytes) {
  unsigned char* next = data;
  while (bytes > 0) {
    const size_t chunk = bytes < CHUNK ? bytes : CHUNK;
    if (file != INPUT || read_chunk(next, chunk) != 0) return -1;
    next += chunk;
    bytes -= chunk;
  }
  return 0;
}

static void write_chunk(const char* name, const unsigned char* data, size_t bytes) {
  put("@write ");
  put(name);
  put(" ");
  for (size_t i = 0; i < bytes; ++i) put_hex(data[i], 2);
  put(" ");
  put_hex(hash(data, bytes), SUM_DIGITS);
  put("\n");
}

int platform_write(int file, const void* data, size_t bytes) {
  const unsigned char* next = data;
  while (bytes > 0) {
    const size_t chunk = bytes < CHUNK ? bytes : CHUNK;
    write_chunk(names[file], next, chunk);
    next += chunk;
    bytes -= chunk;
  }
  return 0;
}

int platform_close(int file) {
  (void)file;
  return 0;
}

int64_t platform_clock(void) { return board_count(); }

void platform_print(const char* text) { put(text); }

void platform_complain(const char* text) { put(text); }

_Noreturn void platform_exit(int status) {
  put("@exit ");
  put_number((unsigned)status);
  put("\n");
  for (;;) {
  }
}

int main(void) {
  static char line[256];
  board_start();
  put("\n@args\n");
  get_line(line, sizeof line);
  return run_line(line);
}
