// What of Arduino the sketch uses, for a program on this machine.
#include <cstdio>

struct SerialPort {
  void begin(long) {}
  explicit operator bool() const { return true; }
  void println(const char* text) { std::puts(text); }
};
static SerialPort Serial;

void setup();
void loop();

int main() {
  setup();
  return 0;
}
