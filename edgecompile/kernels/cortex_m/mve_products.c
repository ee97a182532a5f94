/* Products of rows with packed weights, requantized: tiles of three pixels and four channels. */

#include "mve.h"

/* Copy the job to the stack, where it is found without a register. */
#define ENTER                                                                                          \
  "push {r4-r11,lr}\n vpush {d8-d15}\n sub sp,#64\n mov r12,sp\n"                                      \
  "ldm r0!,{r1-r8}\n stm r12!,{r1-r8}\n ldm r0!,{r1-r8}\n stm r12!,{r1-r8}\n"
#define LEAVE "add sp,#64\n vpop {d8-d15}\n pop {r4-r11,pc}\n"

#define LOAD(v, p) "vldrb.8 " v ",[" p "],#16\n"
#define LOAD_FIRST(v, p) "vldrb.8 " v ",[" p ",#-16]\n"
#define DOT(a, v) "vmladav.s8 " a "," v ",q3\n"
#define DOT_ADD(a, v) "vmladava.s8 " a "," v ",q3\n"

/* Sixteen products of each of two channels with three or two pixels: sums in r0 r2 r4 and r6 r8 r10. Loads and
   products alternate, because the processor overlaps them. */
#define BLOCK_3(load, dot)                                                                             \
  LOAD("q3", "r11") load("q0", "r1") dot("r0", "q0") load("q1", "r3") dot("r2", "q1") load("q2", "r5") \
  dot("r4", "q2") LOAD("q3", "r11") dot("r6", "q0") dot("r8", "q1") dot("r10", "q2")
#define BLOCK_2(load, dot)                                                                             \
  LOAD("q3", "r11") load("q0", "r1") dot("r0", "q0") load("q1", "r3") dot("r2", "q1")                  \
  LOAD("q3", "r11") dot("r6", "q0") dot("r8", "q1")
/* Of four channels with one pixel: both pairs at once, their weights at r11 and r3. */
#define BLOCK_1(load, dot)                                                                             \
  load("q0", "r1") LOAD("q3", "r11") dot("r0", "q0") LOAD("q3", "r11") dot("r2", "q0")                 \
  LOAD("q3", "r3") dot("r4", "q0") LOAD("q3", "r3") dot("r6", "q0")

/* All products. The first block starts the sums, so that they need no zeros. The loop's tail predication takes
   any rest; without a rest it is two blocks long. */
#define ANY_DEPTH(BLOCK)                                                                               \
  BLOCK(LOAD_FIRST, DOT) "wlstp.8 lr,lr,2f\n 1:\n" BLOCK(LOAD, DOT_ADD) "letp lr,1b\n 2:\n"
#define EVEN_DEPTH(BLOCK)                                                                              \
  BLOCK(LOAD_FIRST, DOT) BLOCK(LOAD, DOT_ADD) "wls lr,lr,2f\n 1:\n" BLOCK(LOAD, DOT_ADD)               \
  BLOCK(LOAD, DOT_ADD) "le lr,1b\n 2:\n"

#define PAIR_3(DEPTH, high, low)                                                                       \
  "ldm sp,{r1,r3,r5,lr}\n" DEPTH(BLOCK_3) "vmov q5[" high "],q5[" low "],r0,r6\n"                      \
  "vmov q6[" high "],q6[" low "],r2,r8\n vmov q7[" high "],q7[" low "],r4,r10\n"
#define PAIR_2(DEPTH, high, low)                                                                       \
  "ldm sp,{r1,r3,r5,lr}\n" DEPTH(BLOCK_2) "vmov q5[" high "],q5[" low "],r0,r6\n"                      \
  "vmov q6[" high "],q6[" low "],r2,r8\n"
#define QUAD_3(DEPTH) PAIR_3(DEPTH, "2", "0") PAIR_3(DEPTH, "3", "1")
#define QUAD_2(DEPTH) PAIR_2(DEPTH, "2", "0") PAIR_2(DEPTH, "3", "1")
#define QUAD_1(DEPTH)                                                                                  \
  "ldr r1,[sp]\n ldrd lr,r5,[sp,#12]\n add r3,r11,r5\n" DEPTH(BLOCK_1) "mov r11,r3\n"                  \
  "vmov q5[2],q5[0],r0,r2\n vmov q5[3],q5[1],r4,r6\n"

#define EACH_3(op) op("q5") op("q6") op("q7")
#define EACH_2(op) op("q5") op("q6")
#define EACH_1(op) op("q5")
#define ADD_BIAS(v) "vadd.i32 " v "," v ",q0\n"
#define MULTIPLY(v) "vqdmulh.s32 " v "," v ",q1\n"
#define MULTIPLY_DOUBLE(v)                                                                             \
  "vqrdmulh.s32 " v "," v ",q1\n vshr.s32 q0," v ",#31\n vqadd.s32 " v "," v ",q0\n"
#define SHIFT(v) "vrshl.s32 " v "," v ",q2\n"
#define ADD_ZERO(v) "vqadd.s32 " v "," v ",r0\n"
#define CLAMP_HIGH(v) "vmin.s32 " v "," v ",q3\n"
#define CLAMP_LOW(v) "vmax.s32 " v "," v ",q4\n"
#define STORE_3                                                                                        \
  "add r6,r7,r4\n add r4,r6\n vctp.32 r12\n vpsttt\n vstrbt.32 q5,[r7],#4\n vstrbt.32 q6,[r6]\n"       \
  "vstrbt.32 q7,[r4]\n"
#define STORE_2 "add r6,r7,r4\n vctp.32 r12\n vpstt\n vstrbt.32 q5,[r7],#4\n vstrbt.32 q6,[r6]\n"
#define STORE_1 "vctp.32 r12\n vpst\n vstrbt.32 q5,[r7],#4\n"

/* All tiles of a job, in the fast modes without a call; `quad` leaves the sums in q5 to q7. r11 weights, r9 q,
   r12 channels left, r7 y (a low register, as a narrowing store wants it). */
#define TILES(quad, EACH, STORE, advance_y)                                                            \
  ENTER "vdup.32 q4,r8\n 10:\n ldrd r11,r9,[sp,#36]\n ldrd r12,r7,[sp,#44]\n 11:\n" quad               \
  "vldrw.32 q0,[r9],#16\n" EACH(ADD_BIAS) "vldrw.32 q1,[r9],#16\n vldrw.32 q2,[r9],#32\n"              \
  "ldrd r4,r6,[sp,#28]\n cbz r6,12f\n cmp r6,#4\n bne 13f\n" EACH(MULTIPLY_DOUBLE) "b 14f\n"           \
  "12:\n" EACH(MULTIPLY) "14:\n" EACH(SHIFT) "15:\n ldrd r0,r2,[sp,#20]\n vdup.32 q3,r2\n"             \
  EACH(ADD_ZERO) EACH(CLAMP_HIGH) EACH(CLAMP_LOW) STORE "subs r12,#4\n bgt 11b\n"                      \
  "ldrd r0,r2,[sp,#52]\n ldm sp,{r1,r3,r5}\n add r1,r2\n add r3,r2\n add r5,r2\n stm sp,{r1,r3,r5}\n"  \
  "ldr r6,[sp,#48]\n ldr r4,[sp,#28]\n" advance_y "str r6,[sp,#48]\n subs r0,#1\n str r0,[sp,#52]\n"   \
  "bne 10b\n" LEAVE "13:\n vldrw.32 q3,[r9,#-16]\n bl edgecompile_mve_requantize\n b 15b\n"

#define TILES_3(DEPTH) TILES(QUAD_3(DEPTH), EACH_3, STORE_3, "add r6,r4\n add r6,r6,r4,lsl #1\n")
#define TILES_2(DEPTH) TILES(QUAD_2(DEPTH), EACH_2, STORE_2, "add r6,r6,r4,lsl #1\n")
#define TILES_1(DEPTH) TILES(QUAD_1(DEPTH), EACH_1, STORE_1, "add r6,r4\n")

ASSEMBLY void products_3(const product_job* job UNUSED) { __asm__ volatile(TILES_3(ANY_DEPTH)); }
ASSEMBLY void products_2(const product_job* job UNUSED) { __asm__ volatile(TILES_2(ANY_DEPTH)); }
ASSEMBLY void products_1(const product_job* job UNUSED) { __asm__ volatile(TILES_1(ANY_DEPTH)); }
ASSEMBLY void even_products_3(const product_job* job UNUSED) { __asm__ volatile(TILES_3(EVEN_DEPTH)); }
ASSEMBLY void even_products_1(const product_job* job UNUSED) { __asm__ volatile(TILES_1(EVEN_DEPTH)); }

SHARED void edgecompile_mve_multiply(product_job* job, const int8_t* x, int32_t pitch, int32_t pixels) {
  static void (*const kernels[2][TILE_PIXELS])(const product_job*) = {
      {products_1, products_2, products_3}, {even_products_1, products_2, even_products_3}};
  const int even = job->depth % (2 * LANES) == 0;
  for (int32_t size = TILE_PIXELS; size > 0; --size) {
    const int32_t tiles = pixels / size;
    if (tiles == 0) continue;
    for (int32_t i = 0; i < TILE_PIXELS; ++i) job->x[i] = x + LANES + min_int(i, size - 1) * pitch;
    job->rest = even && size != 2 ? job->depth / (2 * LANES) - 1 : max_int(job->depth - LANES, 0);
    job->tiles = tiles;
    job->x_step = size * pitch;
    kernels[even][size - 1](job);
    x += tiles * size * pitch;
    job->y += tiles * size * job->y_pitch;
    pixels -= tiles * size;
  }
}

SHARED void edgecompile_mve_multiply_in_place(product_job* job, const int8_t* x, int32_t pitch, int32_t pixels,
                                              const int8_t* x_end, int8_t* workspace) {
  int32_t readable = pixels;
  if (job->depth < LANES) {
    while (readable > 0 && x_end - (x + (readable - 1) * pitch) < LANES) --readable;
  }
  edgecompile_mve_multiply(job, x, pitch, readable);
  copy_short(workspace, job->depth, x + readable * pitch, pitch, pixels - readable, job->depth);
  edgecompile_mve_multiply(job, workspace, job->depth, pixels - readable);
}

SHARED product_job edgecompile_mve_products(const int8_t* w, const int32_t* q, int8_t* y, int32_t depth,
                                            int32_t columns, int32_t y_pitch, const edgecompile_output* output) {
  return (product_job){.depth = depth,
                       .y_zero = output->y_zero,
                       .lo = output->lo,
                       .hi = output->hi,
                       .y_pitch = y_pitch,
                       .mode = mode_of(output),
                       .w = w,
                       .q = q,
                       .columns = columns,
                       .y = y,
                       .pair_bytes = 2 * round_up(depth, LANES)};
}
