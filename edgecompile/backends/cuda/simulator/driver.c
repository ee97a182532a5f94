/* The part of the CUDA driver that a launcher uses, with one GPU that is a CPU (device.c).
 *
 * It is stricter than the real one: work in a stream is done only when somebody waits for it, arguments have to be
 * addresses of memory on the GPU, a module has to hold the functions that are asked for, and what is still
 * allocated when the program ends makes it fail. Written after the reference of the driver's interface.
 *
 *   EDGECOMPILE_SIMULATED_FAULT=NAME:N:RESULT   the Nth call of function NAME fails with the number RESULT
 *   EDGECOMPILE_SIMULATED_ARCHITECTURE=75       the GPU is of another architecture than the code
 */
#define _GNU_SOURCE
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;

enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_PTX = 218,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_FAILED = 719,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
};

static const struct {
  CUresult result;
  const char* name;
} names[] = {
    {SUCCESS, "CUDA_SUCCESS"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    {NOT_READY, "CUDA_ERROR_NOT_READY"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
};

/* ---- what exists ---- */

enum { L2_BYTES = 38, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };
enum { MOST_BLOCKS = 4096, MOST_ARGUMENTS = 64, GARBAGE = 0x7F, EXIT_LEFT_BEHIND = 75 };

typedef struct {
  unsigned char* data; /* NULL: free */
  size_t bytes;
  unsigned char* mapped;
  size_t mapped_bytes;
  int on_host;
} block;

enum kind { COPY, SET, LAUNCH, EVENT };

typedef struct {
  enum kind kind;
  void* to;
  const void* from;
  size_t bytes;
  unsigned char value;
  gpu_kernel* kernel;
  uint3 blocks, threads;
  uint64_t values[MOST_ARGUMENTS];
} operation;

/* A stream, a graph and an executable graph are all lists of operations. */
typedef struct list {
  operation* items;
  size_t count, room;
  struct list* captured; /* of a stream that is being captured: where its operations go */
} list;

typedef struct {
  const unsigned char* image;
} module;

typedef struct {
  list* stream;
  uint64_t time; /* when the stream had come to it */
  int has_happened;
} event;

static block blocks[MOST_BLOCKS];
static list default_stream;
static int initialised, retained, context_depth, modules, streams, graphs, executables, events;
static int context; /* its address stands for the primary context */

static int is_called_to_fail(const char* name, CUresult* result) {
  static unsigned calls;
  unsigned wanted;
  const char* const fault = getenv("EDGECOMPILE_SIMULATED_FAULT");
  const size_t length = strlen(name);
  if (fault == NULL || strncmp(fault, name, length) != 0) return 0;
  if (sscanf(fault + length, ":%u:%d", &wanted, result) != 2) return 0;
  return ++calls == wanted;
}

#define CHECK(condition, result) \
  do {                           \
    if (!(condition)) return result; \
  } while (0)

/* Every function begins with this; NAME is as it is exported. */
#define ENTER(name)                                                   \
  do {                                                                \
    CUresult demanded_;                                               \
    if (is_called_to_fail(name, &demanded_)) return demanded_;        \
  } while (0)
#define ENTER_IN_CONTEXT(name)               \
  ENTER(name);                               \
  CHECK(initialised, NOT_INITIALIZED);       \
  CHECK(context_depth > 0, INVALID_CONTEXT)

__attribute__((destructor)) static void check_that_nothing_is_left(void) {
  size_t on_device = 0, on_host = 0;
  for (int i = 0; i < MOST_BLOCKS; ++i) {
    if (blocks[i].data != NULL) *(blocks[i].on_host ? &on_host : &on_device) += blocks[i].bytes;
  }
  if (on_device + on_host == 0 && retained + context_depth + modules + streams + graphs + executables + events == 0) return;
  fprintf(stderr,
          "simulator: left behind: %zu bytes on the GPU, %zu of the host, %d contexts, %d pushed, %d modules, "
          "%d streams, %d graphs, %d executable graphs, %d events\n",
          on_device, on_host, retained, context_depth, modules, streams, graphs, executables, events);
  fflush(NULL);
  _exit(EXIT_LEFT_BEHIND);
}

/* ---- device and context ---- */

CUresult cuInit(unsigned flags) {
  ENTER("cuInit");
  CHECK(flags == 0, INVALID_VALUE);
  initialised = 1;
  return SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  ENTER("cuDeviceGetCount");
  *count = 1;
  return SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  *version = 13000;
  return SUCCESS;
}

CUresult cuDeviceGetName(char* name, int bytes, int device) {
  CHECK(device == 0, INVALID_DEVICE);
  snprintf(name, (size_t)bytes, "simulated GPU");
  return SUCCESS;
}

static int architecture(void) {
  const char* const other = getenv("EDGECOMPILE_SIMULATED_ARCHITECTURE");
  return other != NULL ? atoi(other) : gpu_architecture;
}

CUresult cuDeviceGetAttribute(int* value, int attribute, int device) {
  CHECK(device == 0, INVALID_DEVICE);
  CHECK(attribute == CAPABILITY_MAJOR || attribute == CAPABILITY_MINOR || attribute == L2_BYTES, INVALID_VALUE);
  *value = attribute == CAPABILITY_MAJOR ? architecture() / 10 : architecture() % 10;
  if (attribute == L2_BYTES) *value = 65536;
  return SUCCESS;
}

CUresult cuDeviceGet(int* device, int ordinal) {
  ENTER("cuDeviceGet");
  CHECK(initialised, NOT_INITIALIZED);
  CHECK(ordinal == 0, INVALID_DEVICE);
  *device = 0;
  return SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(void** result, int device) {
  ENTER("cuDevicePrimaryCtxRetain");
  CHECK(initialised, NOT_INITIALIZED);
  CHECK(device == 0, INVALID_DEVICE);
  ++retained;
  *result = &context;
  return SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(int device) {
  ENTER("cuDevicePrimaryCtxRelease_v2");
  CHECK(device == 0 && retained > 0, INVALID_CONTEXT);
  --retained;
  return SUCCESS;
}

CUresult cuCtxPushCurrent_v2(void* pushed) {
  ENTER("cuCtxPushCurrent_v2");
  CHECK(pushed == &context && retained > 0, INVALID_CONTEXT);
  ++context_depth;
  return SUCCESS;
}

CUresult cuCtxPopCurrent_v2(void** popped) {
  CHECK(context_depth > 0, INVALID_CONTEXT);
  --context_depth;
  *popped = &context;
  ENTER("cuCtxPopCurrent_v2"); /* such a failure reports an earlier one */
  return SUCCESS;
}

CUresult cuGetErrorName(CUresult result, const char** name) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    if (names[i].result != result) continue;
    *name = names[i].name;
    return SUCCESS;
  }
  *name = NULL;
  return INVALID_VALUE;
}

/* ---- modules ---- */

/* Bytes of an ELF file with 64-bit fields: as far as its section headers reach, which come last. */
static size_t elf_bytes(const unsigned char* image) {
  uint64_t programs, sections;
  uint16_t program_bytes, program_count, section_bytes, section_count;
  memcpy(&programs, image + 32, 8);
  memcpy(&sections, image + 40, 8);
  memcpy(&program_bytes, image + 54, 2);
  memcpy(&program_count, image + 56, 2);
  memcpy(&section_bytes, image + 58, 2);
  memcpy(&section_count, image + 60, 2);
  const uint64_t a = programs + (uint64_t)program_bytes * program_count;
  const uint64_t b = sections + (uint64_t)section_bytes * section_count;
  return a > b ? a : b;
}

static int is_elf(const unsigned char* image) { return memcmp(image, "\177ELF", 4) == 0; }

CUresult cuModuleLoadData(void** result, const void* image) {
  ENTER_IN_CONTEXT("cuModuleLoadData");
  if (is_elf(image)) {
    CHECK(architecture() / 10 == gpu_architecture / 10 && architecture() >= gpu_architecture, NO_BINARY_FOR_GPU);
  } else {
    const char* const target = strstr(image, ".target sm_");
    CHECK(target != NULL, INVALID_IMAGE);
    CHECK(architecture() >= atoi(target + strlen(".target sm_")), INVALID_PTX);
  }
  module* const made = malloc(sizeof *made);
  made->image = image;
  ++modules;
  *result = made;
  return SUCCESS;
}

CUresult cuModuleUnload(void* unloaded) {
  ENTER_IN_CONTEXT("cuModuleUnload");
  free(unloaded);
  --modules;
  return SUCCESS;
}

static int module_names(const module* within, const char* name) {
  if (!is_elf(within->image)) return strstr((const char*)within->image, name) != NULL;
  char symbol[256];
  const int length = snprintf(symbol, sizeof symbol, "%c%s", 0, name);
  return memmem(within->image, elf_bytes(within->image), symbol, (size_t)length + 1) != NULL;
}

CUresult cuModuleGetFunction(void** function, void* within, const char* name) {
  ENTER_IN_CONTEXT("cuModuleGetFunction");
  for (int i = 0; i < gpu_kernel_count; ++i) {
    if (strcmp(gpu_kernels[i].name, name) != 0) continue;
    CHECK(module_names(within, name), NOT_FOUND);
    *function = &gpu_kernels[i];
    return SUCCESS;
  }
  return NOT_FOUND;
}

/* ---- memory ---- */

/* Memory with nothing before and after it. Its start is aligned, so its end is next to nothing within `align`. */
static CUresult allocate(size_t bytes, size_t align, int on_host, void** data) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  CHECK(bytes > 0, INVALID_VALUE);
  for (int i = 0; i < MOST_BLOCKS; ++i) {
    block* const b = &blocks[i];
    if (b->data != NULL) continue;
    const size_t used = (bytes + page - 1) / page * page;
    b->mapped_bytes = used + 2 * page;
    b->mapped = mmap(NULL, b->mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(b->mapped != MAP_FAILED, OUT_OF_MEMORY);
    mprotect(b->mapped + page, used, PROT_READ | PROT_WRITE);
    memset(b->mapped + page, GARBAGE, used);
    b->data = b->mapped + page + (used - bytes) / align * align;
    b->bytes = bytes;
    b->on_host = on_host;
    *data = b->data;
    return SUCCESS;
  }
  return OUT_OF_MEMORY;
}

static block* find(const void* data) {
  const uintptr_t at = (uintptr_t)data;
  for (int i = 0; i < MOST_BLOCKS; ++i) {
    const uintptr_t begin = (uintptr_t)blocks[i].data;
    if (begin != 0 && at >= begin && at < begin + blocks[i].bytes) return &blocks[i];
  }
  return NULL;
}

static CUresult release_block(const void* data, int on_host) {
  block* const b = find(data);
  CHECK(b != NULL && b->data == data && b->on_host == on_host, INVALID_VALUE);
  munmap(b->mapped, b->mapped_bytes);
  b->data = NULL;
  return SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* result, size_t bytes) {
  void* data = NULL;
  ENTER_IN_CONTEXT("cuMemAlloc_v2");
  const CUresult done = allocate(bytes, 256, 0, &data);
  *result = (uintptr_t)data;
  return done;
}

CUresult cuMemFree_v2(CUdeviceptr data) {
  ENTER_IN_CONTEXT("cuMemFree_v2");
  return release_block((void*)(uintptr_t)data, 0);
}

CUresult cuMemHostAlloc(void** result, size_t bytes, unsigned flags) {
  (void)flags;
  ENTER_IN_CONTEXT("cuMemHostAlloc");
  return allocate(bytes, 256, 1, result);
}

CUresult cuMemFreeHost(void* data) {
  ENTER_IN_CONTEXT("cuMemFreeHost");
  return release_block(data, 1);
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* result, void* data, unsigned flags) {
  ENTER_IN_CONTEXT("cuMemHostGetDevicePointer_v2");
  CHECK(flags == 0 && find(data) != NULL, INVALID_VALUE);
  *result = (uintptr_t)data;
  return SUCCESS;
}

/* ---- streams ---- */

static operation* append(list* stream) {
  list* const to = stream->captured != NULL ? stream->captured : stream;
  if (to->count == to->room) {
    to->room = 2 * to->room + 64;
    to->items = realloc(to->items, to->room * sizeof *to->items);
  }
  memset(&to->items[to->count], 0, sizeof to->items[0]);
  return &to->items[to->count++];
}

static list* stream_of(void* stream) { return stream != NULL ? stream : &default_stream; }

static CUresult do_one(const operation* item) {
  if (item->kind == COPY) {
    memcpy(item->to, item->from, item->bytes);
    return SUCCESS;
  }
  if (item->kind == SET) {
    memset(item->to, item->value, item->bytes);
    return SUCCESS;
  }
  if (item->kind == EVENT) {
    event* const reached = item->to;
    reached->time = gpu_time();
    reached->has_happened = 1;
    return SUCCESS;
  }
  const void* arguments[MOST_ARGUMENTS];
  for (int i = 0; i < item->kernel->arguments; ++i) arguments[i] = &item->values[i];
  return gpu_execute(item->kernel, item->blocks, item->threads, (void* const*)arguments) == 0 ? SUCCESS : LAUNCH_FAILED;
}

static CUresult copy(void* stream, void* to, const void* from, size_t bytes) {
  operation* const item = append(stream_of(stream));
  item->kind = COPY;
  item->to = to;
  item->from = from;
  item->bytes = bytes;
  return SUCCESS;
}

static int is_on_device(const void* data, size_t bytes) {
  const block* const b = find(data);
  return b != NULL && !b->on_host && (const unsigned char*)data + bytes <= b->data + b->bytes;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream) {
  ENTER_IN_CONTEXT("cuMemcpyHtoDAsync_v2");
  CHECK(bytes == 0 || is_on_device((void*)(uintptr_t)to, bytes), INVALID_VALUE);
  return copy(stream, (void*)(uintptr_t)to, from, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream) {
  ENTER_IN_CONTEXT("cuMemcpyDtoHAsync_v2");
  CHECK(bytes == 0 || is_on_device((void*)(uintptr_t)from, bytes), INVALID_VALUE);
  return copy(stream, to, (void*)(uintptr_t)from, bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void* stream) {
  ENTER_IN_CONTEXT("cuMemcpyDtoDAsync_v2");
  CHECK(find((void*)(uintptr_t)to) != NULL && find((void*)(uintptr_t)from) != NULL, INVALID_VALUE);
  return copy(stream, (void*)(uintptr_t)to, (void*)(uintptr_t)from, bytes);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, void* stream) {
  ENTER_IN_CONTEXT("cuMemsetD8Async");
  CHECK(bytes == 0 || is_on_device((void*)(uintptr_t)to, bytes), INVALID_VALUE);
  operation* const item = append(stream_of(stream));
  item->kind = SET;
  item->to = (void*)(uintptr_t)to;
  item->value = value;
  item->bytes = bytes;
  return SUCCESS;
}

CUresult cuStreamCreate(void** stream, unsigned flags) {
  (void)flags;
  ENTER_IN_CONTEXT("cuStreamCreate");
  *stream = calloc(1, sizeof(list));
  ++streams;
  return SUCCESS;
}

static void free_list(list* one) {
  free(one->items);
  free(one);
}

CUresult cuStreamDestroy_v2(void* stream) {
  ENTER_IN_CONTEXT("cuStreamDestroy_v2");
  CHECK(stream != NULL, INVALID_HANDLE);
  free_list(stream);
  --streams;
  return SUCCESS;
}

static CUresult do_all(list* waited) {
  CHECK(waited->captured == NULL, CAPTURE_UNSUPPORTED);
  CUresult result = SUCCESS;
  for (size_t i = 0; i < waited->count && result == SUCCESS; ++i) result = do_one(&waited->items[i]);
  waited->count = 0;
  return result;
}

CUresult cuStreamSynchronize(void* stream) {
  ENTER_IN_CONTEXT("cuStreamSynchronize");
  return do_all(stream_of(stream));
}

/* ---- events: their time is what device.c counts ---- */

CUresult cuEventCreate(void** result, unsigned flags) {
  ENTER_IN_CONTEXT("cuEventCreate");
  CHECK(flags == 0, INVALID_VALUE);
  *result = calloc(1, sizeof(event));
  ++events;
  return SUCCESS;
}

CUresult cuEventDestroy_v2(void* destroyed) {
  ENTER_IN_CONTEXT("cuEventDestroy_v2");
  CHECK(destroyed != NULL, INVALID_HANDLE);
  free(destroyed);
  --events;
  return SUCCESS;
}

CUresult cuEventRecord(void* recorded, void* stream) {
  event* const one = recorded;
  ENTER_IN_CONTEXT("cuEventRecord");
  CHECK(one != NULL, INVALID_HANDLE);
  one->stream = stream_of(stream);
  one->has_happened = 0;
  operation* const item = append(one->stream);
  item->kind = EVENT;
  item->to = one;
  return SUCCESS;
}

CUresult cuEventSynchronize(void* waited) {
  event* const one = waited;
  ENTER_IN_CONTEXT("cuEventSynchronize");
  CHECK(one != NULL && one->stream != NULL, INVALID_HANDLE);
  return do_all(one->stream);
}

CUresult cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  const event *const first = begin, *const last = end;
  ENTER_IN_CONTEXT("cuEventElapsedTime");
  CHECK(first != NULL && last != NULL, INVALID_HANDLE);
  CHECK(first->has_happened && last->has_happened, NOT_READY);
  *milliseconds = (float)((double)(last->time - first->time) / 1e6);
  return SUCCESS;
}

CUresult cuLaunchKernel(void* function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x,
                        unsigned threads_y, unsigned threads_z, unsigned shared, void* stream, void** parameters,
                        void** extra) {
  gpu_kernel* const kernel = function;
  const uint3 grid = {blocks_x, blocks_y, blocks_z}, threads = {threads_x, threads_y, threads_z};
  ENTER_IN_CONTEXT("cuLaunchKernel");
  CHECK(kernel != NULL && extra == NULL && shared == 0, INVALID_VALUE);
  CHECK(blocks_x - 1u < 0x7FFFFFFFu && blocks_y - 1u < 65535 && blocks_z - 1u < 65535, INVALID_VALUE);
  CHECK((uint64_t)threads_x * threads_y * threads_z - 1u < kernel->threads, INVALID_VALUE);
  CHECK(kernel->arguments <= MOST_ARGUMENTS, INVALID_VALUE);
  operation* const item = append(stream_of(stream));
  item->kind = LAUNCH;
  item->kernel = kernel;
  item->blocks = grid;
  item->threads = threads;
  for (int i = 0; i < kernel->arguments; ++i) {
    memcpy(&item->values[i], parameters[i], sizeof item->values[i]);
    CHECK(find((void*)(uintptr_t)item->values[i]) != NULL, ILLEGAL_ADDRESS);
  }
  return SUCCESS;
}

/* ---- graphs ---- */

CUresult cuStreamBeginCapture_v2(void* stream, int mode) {
  list* const captured = stream;
  (void)mode;
  ENTER_IN_CONTEXT("cuStreamBeginCapture_v2");
  CHECK(captured != NULL && captured->captured == NULL, CAPTURE_UNSUPPORTED);
  captured->captured = calloc(1, sizeof(list));
  ++graphs;
  return SUCCESS;
}

CUresult cuStreamEndCapture(void* stream, void** graph) {
  list* const captured = stream;
  CUresult demanded;
  *graph = NULL;
  CHECK(captured->captured != NULL, INVALID_VALUE);
  list* const made = captured->captured;
  captured->captured = NULL;
  if (is_called_to_fail("cuStreamEndCapture", &demanded)) {
    free_list(made);
    --graphs;
    return demanded;
  }
  *graph = made;
  return SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(void** executable, void* graph, uint64_t flags) {
  const list* const from = graph;
  ENTER_IN_CONTEXT("cuGraphInstantiateWithFlags");
  CHECK(flags == 0, INVALID_VALUE);
  list* const made = calloc(1, sizeof *made);
  made->count = made->room = from->count;
  made->items = malloc((from->count + 1) * sizeof *made->items);
  memcpy(made->items, from->items, from->count * sizeof *made->items);
  ++executables;
  *executable = made;
  return SUCCESS;
}

CUresult cuGraphLaunch(void* executable, void* stream) {
  const list* const from = executable;
  ENTER_IN_CONTEXT("cuGraphLaunch");
  CHECK(from != NULL, INVALID_HANDLE);
  for (size_t i = 0; i < from->count; ++i) *append(stream_of(stream)) = from->items[i];
  return SUCCESS;
}

CUresult cuGraphDestroy(void* graph) {
  ENTER_IN_CONTEXT("cuGraphDestroy");
  free_list(graph);
  --graphs;
  return SUCCESS;
}

CUresult cuGraphExecDestroy(void* executable) {
  ENTER_IN_CONTEXT("cuGraphExecDestroy");
  free_list(executable);
  --executables;
  return SUCCESS;
}
