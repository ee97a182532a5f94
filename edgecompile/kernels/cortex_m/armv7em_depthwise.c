/* Depthwise convolution: 4 channels of one output row at a time. */

#include "armv7em.h"

/* x: [columns][KH/2][4] pairs of int16, one pair a channel; w: [KW][KH/2][4] such pairs. Each output takes
   the whole of w; the x of the next one begins x_step bytes after the end of the last. `skip` is how many
   bytes of the unrolled loop are left out at first. RAW stores 4 int32 at y, for one output. */
typedef struct {
  int32_t bias[4];
  const uint32_t *x, *w, *w_end;
  const channel* q;
  int8_t* y;
  int32_t y_stride;
  int8_t* y_end;
  int32_t x_step, mode, skip;
} lanes;

enum { LANES_UNROLLED = 6, LANES_STEP_BYTES = 24 };

#if ARMV7EM
/* 24 bytes, 8 products */
#define LANES_STEP \
  "ldmia.w r12!, {r4-r7}\n ldmia.w lr!, {r8-r11}\n" \
  "smlad r0, r4, r8, r0\n smlad r1, r5, r9, r1\n smlad r2, r6, r10, r2\n smlad r3, r7, r11, r3\n"
#define LANES_REQUANTIZE(FORM, a) "ldmia.w r8!, {r4-r7}\n" FORM(a, "r4", "r5", "r6", "r7")
#define LANES_FINISH(FORM) \
  LANES_REQUANTIZE(FORM, "r0") LANES_REQUANTIZE(FORM, "r1") LANES_REQUANTIZE(FORM, "r2") \
  LANES_REQUANTIZE(FORM, "r3") \
  "ldrd r8, r9, [sp, #32]\n strb.w r0, [r8]\n strb.w r1, [r8, #1]\n strb.w r2, [r8, #2]\n" \
  "strb.w r3, [r8, #3]\n add r8, r9\n str.w r8, [sp, #32]\n ldrd r4, r5, [sp, #40]\n add r12, r5\n" \
  "cmp r8, r4\n bne.w 1b\n b.w 9f\n"

ASSEMBLY void multiply_lanes(ARGUMENTS lanes* t) {
  __asm__ volatile(
      "push {r4-r11, lr}\n ldmia.w r0!, {r1-r7}\n ldmia.w r0, {r8-r12, lr}\n ldr r0, [r0, #24]\n"
      "push {r0}\n push {r8-r12, lr}\n push {r1-r7}\n"
      "adr.w r1, 2f\n add r1, r0\n orr r1, r1, #1\n str r1, [sp, #52]\n ldr.w r12, [sp, #16]\n"
      "1:\n ldmia.w sp, {r0-r3}\n ldr.w lr, [sp, #20]\n ldr.w pc, [sp, #52]\n"
      ".p2align 2\n 2:\n" LANES_STEP LANES_STEP LANES_STEP LANES_STEP LANES_STEP LANES_STEP
      "ldr r4, [sp, #24]\n cmp lr, r4\n bne.w 2b\n"
      "ldr r4, [sp, #48]\n ldr.w r8, [sp, #28]\n"
      "cbz r4, 3f\n cmp r4, #1\n beq.w 4f\n"
      "ldr.w r8, [sp, #32]\n stmia.w r8, {r0-r3}\n b.w 9f\n"
      "3:\n" LANES_FINISH(SINGLE)
      "4:\n" LANES_FINISH(DOUBLE)
      "9:\n add sp, #56\n pop {r4-r11, pc}\n");
}
#else
static void multiply_lanes(const lanes* arguments) {
  lanes t = *arguments;
  const int32_t words = (int32_t)(t.w_end - t.w);
  for (;; t.x += t.x_step / 4) {
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = t.bias[c];
      for (int32_t k = c; k < words; k += 4) sum = products(t.x[k], t.w[k], sum);
      store_sum(t.y, c, sum, t.q + c, t.mode);
    }
    t.x += words;
    t.y += t.y_stride;
    if (t.mode == RAW || t.y == t.y_end) return;
  }
}
#endif

/* Depthwise convolution. */

/* The input channels of four lanes: base + at[i]; `together` when they are four neighbours. */
typedef struct {
  int32_t base, at[4], together;
} lane_channels;

static lane_channels lane_channels_from(int32_t c, int32_t channels, int32_t repeat) {
  lane_channels result = {c / repeat, {0}, repeat == 1 && c + 4 <= channels};
  for (int32_t i = 0; i < 4; ++i) result.at[i] = (c + i < channels ? c + i : c) / repeat - result.base;
  return result;
}

INLINE uint32_t load_lanes(const int8_t* from, const lane_channels* c) {
  if (c->together) return load4(from);
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) word |= (uint32_t)(uint8_t)from[c->at[i]] << (8 * i);
  return word;
}

/* Elements of one row of the image, `step` bytes apart. */
typedef struct {
  const int8_t* from;
  int32_t step;
} line;

/* `count` columns of a pair of rows, written `pitch` words apart. */
INLINE void put_pair(uint32_t* to, int32_t pitch, line upper, line lower, int32_t count,
                     const lane_channels* c) {
  for (; count > 0; --count, upper.from += upper.step, lower.from += lower.step, to += pitch) {
    const uint32_t a = load_lanes(upper.from, c), b = load_lanes(lower.from, c);
    const uint32_t a02 = even_bytes(a), a13 = odd_bytes(a), b02 = even_bytes(b), b13 = odd_bytes(b);
    to[0] = low_halves(a02, b02);
    to[1] = low_halves(a13, b13);
    to[2] = high_halves(a02, b02);
    to[3] = high_halves(a13, b13);
  }
}

/* The last row of an odd number: a lane finds its element in one half, and the weight of the other is 0. */
INLINE void put_single(uint32_t* to, int32_t pitch, line only, int32_t count, const lane_channels* c) {
  for (; count > 0; --count, only.from += only.step, to += pitch) {
    const uint32_t word = load_lanes(only.from, c);
    to[0] = to[2] = even_bytes(word);
    to[1] = to[3] = odd_bytes(word);
  }
}

/* put_pair and put_single together, for windows of three rows and neighbouring channels. */
typedef struct {
  uint32_t* to;
  line rows[3];
  int32_t count;
} three_lines;

#if ARMV7EM
ASSEMBLY void put_three_lines(ARGUMENTS three_lines* t) {
  __asm__ volatile(
      "push {r4-r11, lr}\n ldmia.w r0, {r0-r7}\n"
      /* to r0, rows r1 r3 r5, steps r2 r4 r6 */
      "1:\n ldr r8, [r1]\n add r1, r2\n ldr r9, [r3]\n add r3, r4\n"
      "sxtb16 r10, r8\n sxtb16 r11, r8, ror #8\n sxtb16 r12, r9\n sxtb16 lr, r9, ror #8\n"
      "pkhbt r8, r10, r12, lsl #16\n pkhtb r10, r12, r10, asr #16\n"
      "pkhbt r9, r11, lr, lsl #16\n pkhtb r11, lr, r11, asr #16\n stmia.w r0!, {r8-r11}\n"
      "ldr r8, [r5]\n add r5, r6\n sxtb16 r10, r8\n sxtb16 r11, r8, ror #8\n"
      "strd r10, r11, [r0], #8\n strd r10, r11, [r0], #8\n"
      "subs r7, #1\n bne.w 1b\n pop {r4-r11, pc}\n");
}
#else
static void put_three_lines(const three_lines* t) {
  const lane_channels neighbours = {0, {0}, 1};
  put_pair(t->to, 8, t->rows[0], t->rows[1], t->count, &neighbours);
  put_single(t->to + 4, 8, t->rows[2], t->count, &neighbours);
}
#endif

/* Columns left, left + step, ... of an image; those from `first` to `end` are inside. */
typedef struct {
  int32_t left, step, count, first, end;
} columns;

static columns columns_from(const edgecompile_conv_geometry* g, int32_t left, int32_t count) {
  const int32_t step = g->dilation_x, width = g->input_width;
  const columns result = {left, step, count, below(0, left, step, count), below(width, left, step, count)};
  return result;
}

/* The columns outside, which hold the same for all rows and channels. */
static void put_outside(uint32_t* to, int32_t pitch, columns at, int32_t fill) {
  const uint32_t pair = ((uint32_t)fill & 0xFFFF) * 0x10001u;
  for (int32_t i = 0; i < at.first * pitch; ++i) to[i] = pair;
  for (int32_t i = at.end * pitch; i < at.count * pitch; ++i) to[i] = pair;
}

/* The columns inside, of the rows under one output row from `y` on, as multiply_lanes takes them. */
static void put_lines(uint32_t* to, const int8_t* x, const edgecompile_conv_geometry* g,
                      const lane_channels* c, int32_t y, const columns* at, line outside) {
  const int32_t pitch = (g->kernel_height + 1) / 2 * 4, pixel = g->input_channels;
  const int32_t count = at->end - at->first;
  x += (at->left + at->first * at->step) * pixel + c->base;
  to += at->first * pitch;
  for (int32_t ky = 0; ky < g->kernel_height; ky += 2, to += 4) {
    line pair[2] = {outside, outside};
    for (int32_t i = 0; i < 2; ++i, y += g->dilation_y) {
      if (y < 0 || y >= g->input_height) continue;
      pair[i].from = x + y * g->input_width * pixel;
      pair[i].step = at->step * pixel;
    }
    if (ky + 1 == g->kernel_height) {
      put_single(to, pitch, pair[0], count, c);
    } else {
      put_pair(to, pitch, pair[0], pair[1], count, c);
    }
  }
}

/* Three such rows for channels 0 to 3; `advance` leads from there to the next four channels. */
static void find_three_lines(three_lines* t, int32_t advance[3], const int8_t* x,
                             const edgecompile_conv_geometry* g, int32_t y, const columns* at, line outside) {
  const int32_t pixel = g->input_channels;
  x += (at->left + at->first * at->step) * pixel;
  for (int32_t i = 0; i < 3; ++i, y += g->dilation_y) {
    t->rows[i] = outside;
    advance[i] = 0;
    if (y < 0 || y >= g->input_height) continue;
    t->rows[i].from = x + y * g->input_width * pixel;
    t->rows[i].step = at->step * pixel;
    advance[i] = 4;
  }
}

/* `count` outputs of up to 4 channels. */
static void finish_lanes(lanes* t, int32_t count, int32_t channels, const edgecompile_output* o) {
  if (o->fast && channels >= 4) {
    t->y_end = t->y + count * t->y_stride;
    t->mode = o->rounding;
    multiply_lanes(t);
    return;
  }
  int32_t sums[4];
  int8_t* y = t->y;
  lanes one = *t;
  one.y = (int8_t*)sums;
  one.mode = RAW;
  for (; count > 0; --count, y += t->y_stride, one.x += t->x_step / 4 + (t->w_end - t->w)) {
    multiply_lanes(&one);
    for (int32_t i = 0; i < 4 && i < channels; ++i) y[i] = edgecompile_requantize(sums[i], t->q + i, o);
  }
}

SHARED int32_t edgecompile_depthwise_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                        const edgecompile_conv_geometry* g, int8_t* y, void* workspace) {
  const int32_t pitch = (g->kernel_height + 1) / 2 * 4, size = g->kernel_width * pitch;
  const int32_t channels = g->output_channels, repeat = channels / g->input_channels;
  int8_t* const start = y;
  /* Windows overlap in memory when their columns are neighbours; otherwise each output is gathered alone. */
  const int32_t run = g->dilation_x == 1 ? g->output_width : 1;
  const int32_t count = g->dilation_x == 1 ? (run - 1) * g->stride_x + g->kernel_width : g->kernel_width;
  const uint32_t fill = four_bytes(g->x_zero);
  const line outside = {(const int8_t*)&fill, 0};
  columns at = columns_from(g, -g->pad_left, count);
  put_outside(workspace, pitch, at, g->x_zero);
  lanes t = {{0}, workspace, NULL, NULL, NULL, y, channels, NULL, 0, 0, 0};
  t.x_step = 4 * (g->stride_x * pitch - size);
  t.skip = (LANES_UNROLLED - size / 4 % LANES_UNROLLED) % LANES_UNROLLED * LANES_STEP_BYTES;
  for (int32_t r = 0; r < g->batch * g->output_height; ++r) {
    const int32_t batch = g->batch == 1 ? 0 : r / g->output_height;
    const int32_t top = (r - batch * g->output_height) * g->stride_y - g->pad_top;
    const int8_t* image = x + batch * g->input_height * g->input_width * g->input_channels;
    for (int32_t ox = 0; ox < g->output_width; ox += run, y += run * channels) {
      if (run < g->output_width) {
        at = columns_from(g, ox * g->stride_x - g->pad_left, count);
        put_outside(workspace, pitch, at, g->x_zero);
      }
      const int32_t together = repeat == 1 && g->kernel_height == 3 && at.first < at.end;
      uint32_t* to = (uint32_t*)workspace + at.first * pitch;
      three_lines three = {to, {outside, outside, outside}, at.end - at.first};
      int32_t advance[3];
      if (together) find_three_lines(&three, advance, image, g, top, &at, outside);
      t.q = (const channel*)q;
      t.w = (const uint32_t*)w;
      for (int32_t c = 0; c < channels; c += 4, t.q += 4, t.w = t.w_end) {
        if (together && c + 4 <= channels) {
          put_three_lines(&three);
          for (int32_t i = 0; i < 3; ++i) three.rows[i].from += advance[i];
        } else {
          const lane_channels from = lane_channels_from(c, channels, repeat);
          put_lines(workspace, image, g, &from, top, &at, outside);
        }
        for (int32_t i = 0; i < 4; ++i) t.bias[i] = t.q[i].bias;
        t.w_end = t.w + size;
        t.y = y + c;
        finish_lanes(&t, run, channels - c, &g->output);
      }
    }
  }
  edgecompile_clamp(start, g->batch * g->output_height * g->output_width * channels, &g->output);
  return 0;
}
