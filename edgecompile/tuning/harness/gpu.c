/* Candidates as kernels of a GPU, by nothing but the CUDA driver (see trials_gpu.h.j2).
 *
 * The time of a run is that between two events around its launches. Memory as large as the cache of the GPU, twice
 * over, is written before: so operands are far away, and the launches wait in the stream until that is done, so that
 * the time that the host needs for them is not part of the figure. */
#include "machine.h"

#include <stdlib.h>

#include "platform.h"

enum { L2_BYTES = 38, WARM_UP_NS = 100000000 };
enum place { INPUTS, OUTPUTS, WORKSPACE, FAR_AWAY, FIRST_CONSTANT };

static driver_functions functions, *const driver = &functions;
static measuring_functions measuring;
static CUdevice device;
static handle context, module, stream, begin, end;
static handle kernels[FUNCTIONS + 1];
static CUdeviceptr memory[FIRST_CONSTANT + CONSTANTS + 1];
static size_t far_away_bytes;

static void check(int result, enum status status, const char* task) {
  const char* name = result == TRIALS_ERROR_NO_DRIVER ? "ERROR_NO_DRIVER" : "ERROR_OLD_DRIVER";
  if (result == 0) return;
  if (result > 0 && driver->ErrorName(result, &name) != 0) name = "an unknown error of CUDA";
  platform_complain(task);
  platform_complain(name);
  fail(status, "\n");
}

#define NEED(call) check(call, STATUS_GPU, "trials: the GPU cannot be used: ")
#define EXECUTE(call) check(call, STATUS_CANDIDATE_ERROR, "trials: a candidate failed: ")

/* Whatever there is, in whatever state. */
static void close_gpu(void) {
  handle popped;
  if (begin != NULL) measuring.EventDestroy(begin);
  if (end != NULL) measuring.EventDestroy(end);
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; ++i) {
    if (memory[i] != 0) driver->MemoryFree(memory[i]);
  }
  if (module != NULL) driver->ModuleUnload(module);
  if (stream != NULL) driver->StreamDestroy(stream);
  driver->ContextPop(&popped);
  driver->ContextRelease(device);
}

static void open_gpu(void) {
  NEED(load_driver(driver));
  NEED(load_measuring(&measuring));
  NEED(driver->Init(0));
  NEED(driver->DeviceGet(&device, 0));
  NEED(driver->ContextRetain(&context, device));
  NEED(driver->ContextPush(context));
  atexit(close_gpu);
  NEED(driver->StreamCreate(&stream, STREAM_NON_BLOCKING));
  NEED(measuring.EventCreate(&begin, 0));
  NEED(measuring.EventCreate(&end, 0));
  NEED(driver->ModuleLoad(&module, trials_code));
  for (int i = 0; i < FUNCTIONS; ++i) NEED(driver->ModuleFunction(&kernels[i], module, function_names[i]));
}

static void allocate(int place, size_t bytes) { NEED(driver->MemoryAlloc(&memory[place], bytes)); }

static void fill(int place, size_t from, unsigned char value, size_t bytes) {
  NEED(measuring.Set(memory[place] + from, value, bytes, stream));
}

/* Clocks rise when there is work. */
static void warm_up(void) {
  const int64_t since = platform_clock();
  do {
    fill(FAR_AWAY, 0, GARBAGE, far_away_bytes);
    NEED(driver->StreamWait(stream));
  } while (platform_clock() - since < WARM_UP_NS);
}

void machine_open(void) {
  int cached = 0;
  open_gpu();
  NEED(measuring.Attribute(&cached, L2_BYTES, device));
  far_away_bytes = 2 * (size_t)cached + GUARD_BYTES;
  allocate(INPUTS, sizeof inputs);
  allocate(OUTPUTS, sizeof outputs);
  allocate(WORKSPACE, TRIALS_WORKSPACE_BYTES + GUARD_BYTES);
  allocate(FAR_AWAY, far_away_bytes);
  NEED(driver->CopyIn(memory[INPUTS], inputs, sizeof inputs, stream));
  for (int i = 0; i < CONSTANTS; ++i) {
    allocate(FIRST_CONSTANT + i, constants[i].bytes);
    NEED(driver->CopyIn(memory[FIRST_CONSTANT + i], constants[i].data, constants[i].bytes, stream));
  }
  fill(OUTPUTS, TRIALS_OUTPUT_BYTES, CANARY, GUARD_BYTES);
  fill(WORKSPACE, TRIALS_WORKSPACE_BYTES, CANARY, GUARD_BYTES);
  warm_up();
}

void machine_clear(void) {
  fill(OUTPUTS, 0, GARBAGE, TRIALS_OUTPUT_BYTES);
  fill(WORKSPACE, 0, GARBAGE, TRIALS_WORKSPACE_BYTES);
}

static void launch_kernel(const launch* one, int set) {
  CUdeviceptr values[MOST_ARGUMENTS];
  void* parameters[MOST_ARGUMENTS];
  for (int i = 0; i < one->count; ++i) {
    const argument* const given = &arguments[one->first + i];
    values[i] = memory[given->place] + given->offset + (given->place == INPUTS ? (size_t)set * TRIALS_INPUT_BYTES : 0);
    parameters[i] = &values[i];
  }
  EXECUTE(driver->Launch(kernels[one->function], one->blocks[0], one->blocks[1], one->blocks[2], one->threads, 1, 1, 0,
                         stream, parameters, NULL));
}

int64_t machine_run(int candidate, int set) {
  float milliseconds = 0;
  fill(FAR_AWAY, 0, GARBAGE, far_away_bytes);
  NEED(measuring.EventRecord(begin, stream));
  for (int i = first_launch[candidate]; i < first_launch[candidate + 1]; ++i) launch_kernel(&launches[i], set);
  NEED(measuring.EventRecord(end, stream));
  EXECUTE(measuring.EventWait(end));
  EXECUTE(measuring.ElapsedTime(&milliseconds, begin, end));
  return (int64_t)((double)milliseconds * 1e6 + 0.5);
}

void machine_fetch(void) {
  unsigned char guard[GUARD_BYTES];
  EXECUTE(driver->CopyOut(outputs, memory[OUTPUTS], sizeof outputs, stream));
  EXECUTE(driver->CopyOut(guard, memory[WORKSPACE] + TRIALS_WORKSPACE_BYTES, sizeof guard, stream));
  EXECUTE(driver->StreamWait(stream));
  check_guard(outputs + TRIALS_OUTPUT_BYTES);
  check_guard(guard);
}
