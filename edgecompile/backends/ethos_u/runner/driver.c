/* Stands in for Arm's Ethos-U core driver: another process is the NPU, at the end of two pipes.
 *
 * An invocation is sent as 64-bit numbers, little endian: the bytes of the commands, how many memory regions
 * there are, and the address and bytes of each; then the commands and the content of every region that has an
 * address. The answer is, for each region, how many bytes of it change (none or all) and what they are, and at
 * last a number that is 0 when all went well.
 *
 * NPU_REQUESTS and NPU_ANSWERS are the paths of the pipes. */
#include "platform.h"

struct ethosu_driver {
  int requests, answers;
};

struct ethosu_driver* ethosu_reserve_driver(void);
void ethosu_release_driver(struct ethosu_driver* driver);
int ethosu_invoke_v3(struct ethosu_driver* driver, const void* commands, const int commands_bytes,
                     uint64_t* const base, const size_t* base_bytes, const int count, void* user);

static struct ethosu_driver only = {-1, -1};

struct ethosu_driver* ethosu_reserve_driver(void) {
  if (only.requests < 0) only.requests = platform_open(NPU_REQUESTS, 1);
  if (only.answers < 0) only.answers = platform_open(NPU_ANSWERS, 0);
  return only.requests < 0 || only.answers < 0 ? NULL : &only;
}

void ethosu_release_driver(struct ethosu_driver* driver) { (void)driver; }

static void* region(uint64_t address) { return (void*)(uintptr_t)address; }

static int send(const struct ethosu_driver* driver, const void* commands, uint64_t commands_bytes,
                const uint64_t* base, const size_t* base_bytes, uint64_t count) {
  const uint64_t header[2] = {commands_bytes, count};
  int failed = platform_write(driver->requests, header, sizeof header);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t memory[2] = {base[i], base_bytes[i]};
    failed |= platform_write(driver->requests, memory, sizeof memory);
  }
  failed |= platform_write(driver->requests, commands, (size_t)commands_bytes);
  for (uint64_t i = 0; i < count; ++i) {
    if (base[i] != 0) failed |= platform_write(driver->requests, region(base[i]), base_bytes[i]);
  }
  return failed;
}

int ethosu_invoke_v3(struct ethosu_driver* driver, const void* commands, const int commands_bytes,
                     uint64_t* const base, const size_t* base_bytes, const int count, void* user) {
  uint64_t changed, status;
  (void)user;
  if (send(driver, commands, (uint64_t)commands_bytes, base, base_bytes, (uint64_t)count) != 0) return -1;
  for (int i = 0; i < count; ++i) {
    if (platform_read(driver->answers, &changed, sizeof changed) != 0) return -1;
    if (changed != 0 && platform_read(driver->answers, region(base[i]), (size_t)changed) != 0) return -1;
  }
  if (platform_read(driver->answers, &status, sizeof status) != 0) return -1;
  return (int)status;
}
