/* Blocks of threads on a CPU. The threads of a block are fibers, which run one after the other up to the next place
 * where they wait for each other. Every second launch of a kernel goes through blocks and threads backwards: what
 * depends on an order that a GPU does not promise comes out differently.
 */
#define _GNU_SOURCE
#include "device.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MOST_THREADS = 1024, WARP = 32, STACK_BYTES = 256 * 1024, GARBAGE = 0x7F };

uint3 threadIdx, blockIdx, blockDim, gridDim;

enum state { READY, AT_BLOCK, AT_WARP, ENDED };

typedef struct {
  jmp_buf here;
  void* stack;
  unsigned thread;
  enum state state;
  int line;      /* where it waits */
  unsigned mask; /* for which lanes */
  void* given;
  int has_begun;
} fiber;

static fiber fibers[MOST_THREADS];
static fiber* of_thread[MOST_THREADS];
static unsigned fiber_count;
static fiber* current;
static jmp_buf scheduler;
static ucontext_t scheduler_context;

static gpu_kernel* kernel;
static void* const* arguments;
static unsigned threads, begun, ended;
static int backwards;
static uint64_t runs;

uint64_t gpu_time(void) { return runs; }

/* What lanes gave, for two waits in turn: some may still read the first when others give for the next. */
static void* given[2][MOST_THREADS / WARP][WARP];
static unsigned turns[MOST_THREADS];

/* The memory that kernels share among the threads of a block, of all kernels; without such kernels there is none. */
extern unsigned char __start_gpu_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_gpu_shared[] __attribute__((weak, visibility("hidden")));

static void become(fiber* f) {
  const unsigned t = f->thread;
  current = f;
  threadIdx.x = t % blockDim.x;
  threadIdx.y = t / blockDim.x % blockDim.y;
  threadIdx.z = t / blockDim.x / blockDim.y;
}

/* Runs threads, each to its end; the fiber of one that waits takes it up again. */
static void run_threads(void) {
  for (;;) {
    while (begun < threads) {
      fiber* const f = current;
      const unsigned number = begun++;
      f->thread = backwards ? threads - 1 - number : number;
      f->state = READY;
      ++runs;
      of_thread[f->thread] = f;
      become(f);
      kernel->call(arguments);
      current->state = ENDED;
      ++ended;
    }
    if (_setjmp(current->here) == 0) _longjmp(scheduler, 1);
  }
}

static void begin_fiber(fiber* f) {
  f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (f->stack == MAP_FAILED) {
    fputs("simulator: no memory for the stack of a thread\n", stderr);
    abort();
  }
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = f->stack;
  context.uc_stack.ss_size = STACK_BYTES;
  context.uc_link = NULL;
  makecontext(&context, run_threads, 0);
  f->has_begun = 1;
  swapcontext(&scheduler_context, &context);
}

/* Continues a fiber until it waits or finds no further thread to run. */
static void resume(fiber* f) {
  current = f;
  if (_setjmp(scheduler) != 0) return;
  if (!f->has_begun) begin_fiber(f);
  if (f->state != ENDED) {
    ++runs;
    become(f);
  }
  _longjmp(f->here, 1);
}

static void wait_as(enum state state, int line) {
  fiber* const f = current;
  f->state = state;
  f->line = line;
  if (_setjmp(f->here) == 0) _longjmp(scheduler, 1);
}

void gpu_sync_block(int line) { wait_as(AT_BLOCK, line); }

void* const* gpu_sync_warp(unsigned mask, void* value, int line) {
  const unsigned thread = current->thread;
  void** const all = given[turns[thread]++ % 2][thread / WARP];
  all[thread % WARP] = value;
  current->mask = mask;
  wait_as(AT_WARP, line);
  return all;
}

static int complain(const fiber* f, const char* what) {
  fprintf(stderr, "simulator: thread %u of block (%u, %u, %u) of %s waits at line %d %s\n", f->thread, blockIdx.x,
          blockIdx.y, blockIdx.z, kernel->name, f->line, what);
  return -1;
}

/* Whether all lanes that a thread waits for wait at the same place. */
static int warp_is_complete(const fiber* f) {
  const unsigned first = f->thread / WARP * WARP;
  for (unsigned lane = 0; lane < WARP && first + lane < threads; ++lane) {
    const fiber* const other = of_thread[first + lane];
    if ((f->mask >> lane & 1) == 0) continue;
    if (other->thread != first + lane || other->state != AT_WARP || other->line != f->line) return 0;
  }
  return 1;
}

static void release_warp(const fiber* f) {
  const unsigned first = f->thread / WARP * WARP;
  for (unsigned lane = 0; lane < WARP && first + lane < threads; ++lane) {
    if (f->mask >> lane & 1) of_thread[first + lane]->state = READY;
  }
}

/* Lets those go on that have all that they wait for; returns how many threads are ready, or -1 for never. */
static int release(void) {
  int ready = 0, at_block = 0;
  fiber* waiting = NULL;
  for (unsigned i = 0; i < fiber_count; ++i) {
    fiber* const f = &fibers[i];
    if (f->state == AT_WARP && warp_is_complete(f)) release_warp(f);
  }
  for (unsigned i = 0; i < fiber_count; ++i) {
    fiber* const f = &fibers[i];
    ready += f->state == READY;
    at_block += f->state == AT_BLOCK;
    if (f->state == AT_BLOCK || f->state == AT_WARP) waiting = f;
  }
  if (ready > 0 || waiting == NULL) return ready;
  if (ended > 0 && at_block > 0) return complain(waiting, "for threads that have ended");
  for (unsigned i = 0; i < fiber_count; ++i) {
    fiber* const f = &fibers[i];
    if (f->state == ENDED) continue;
    if (f->state != AT_BLOCK || f->line != waiting->line) return complain(f, "for threads that wait elsewhere");
    f->state = READY;
    ++ready;
  }
  return ready;
}

/* Those that wait forever would go on with their old kernel otherwise. */
static void discard_fibers(void) {
  for (int i = 0; i < MOST_THREADS && fibers[i].has_begun; ++i) {
    munmap(fibers[i].stack, STACK_BYTES);
    fibers[i].has_begun = 0;
  }
}

static int run_block(void) {
  begun = ended = fiber_count = 0;
  const size_t warps = (threads + WARP - 1) / WARP;
  for (int turn = 0; turn < 2; ++turn) memset(given[turn], 0, warps * sizeof given[turn][0]);
  memset(turns, 0, threads * sizeof turns[0]);
  while (begun < threads) {
    fibers[fiber_count].state = ENDED;
    resume(&fibers[fiber_count++]);
  }
  for (;;) {
    const int ready = release();
    if (ready <= 0) return ready;
    for (unsigned i = 0; i < fiber_count; ++i) {
      fiber* const f = &fibers[backwards ? fiber_count - 1 - i : i];
      if (f->state == READY) resume(f);
    }
  }
}

int gpu_execute(gpu_kernel* wanted, uint3 blocks, uint3 size, void* const* given_arguments) {
  kernel = wanted;
  arguments = given_arguments;
  threads = size.x * size.y * size.z;
  blockDim = size;
  gridDim = blocks;
  if (__start_gpu_shared) memset(__start_gpu_shared, GARBAGE, (size_t)(__stop_gpu_shared - __start_gpu_shared));
  backwards = kernel->launches++ % 2 != 0;
  const uint64_t count = (uint64_t)blocks.x * blocks.y * blocks.z;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = backwards ? count - 1 - i : i;
    blockIdx.x = (unsigned)(number % blocks.x);
    blockIdx.y = (unsigned)(number / blocks.x % blocks.y);
    blockIdx.z = (unsigned)(number / blocks.x / blocks.y);
    if (run_block() == 0) continue;
    discard_fibers();
    return -1;
  }
  return 0;
}
