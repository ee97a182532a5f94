/* Convolution: 3 pixels x pairs of channels at a time, over windows gathered as int16. */

#include "armv7em.h"

/* x: [K/4][2][3] pairs of int16; w: [pairs][K/4][2][4] int8; q: [pairs][2]; y: 3 rows of y_stride bytes.
   RAW stores [2][3] int32 at y, for one pair. */
typedef struct {
  const uint32_t *x, *x_end;
  const int8_t* w;
  const channel* q;
  int8_t* y;
  int32_t y_stride;
  int8_t* y_end;
  int32_t mode, entry;
} tile;

#if ARMV7EM
#define TILE_HALF(rotation) \
  "ldmia.w r12!, {r0, r1, r2}\n" \
  "sxtb16 r3, r4" rotation "\n smlad r6, r0, r3, r6\n smlad r7, r1, r3, r7\n smlad r8, r2, r3, r8\n" \
  "sxtb16 r3, r5" rotation "\n smlad r9, r0, r3, r9\n smlad r10, r1, r3, r10\n smlad r11, r2, r3, r11\n"
/* 76 bytes, 24 products */
#define TILE_STEP "ldrd r4, r5, [lr], #8\n" TILE_HALF("") TILE_HALF(", ror #8")
#define TILE_REQUANTIZE(FORM, a0, a1, a2) \
  "ldmia.w r12!, {r0, r1, r2, r4}\n" FORM(a0, "r0", "r1", "r2", "r4") FORM(a1, "r0", "r1", "r2", "r4") \
  FORM(a2, "r0", "r1", "r2", "r4")
#define TILE_STORE(a0, a1, a2) \
  "strb.w " a1 ", [r3, r5]\n strb.w " a2 ", [r3, r5, lsl #1]\n strb.w " a0 ", [r3], #1\n"
#define TILE_FINISH(FORM) \
  TILE_REQUANTIZE(FORM, "r6", "r7", "r8") \
  TILE_STORE("r6", "r7", "r8") \
  TILE_REQUANTIZE(FORM, "r9", "r10", "r11") \
  TILE_STORE("r9", "r10", "r11") \
  "str r12, [sp, #12]\n str r3, [sp, #16]\n ldr r0, [sp, #24]\n cmp r3, r0\n bne.w 1b\n b.w 9f\n"

ASSEMBLY void multiply_tile(ARGUMENTS tile* t) {
  __asm__ volatile(
      "push {r4-r11, lr}\n ldmia.w r0, {r1-r9}\n push {r1-r9}\n"
      "ldrd r0, r1, [sp, #0]\n subs r0, r1, r0\n"      /* 24 bytes a step: -steps mod 4 is in bits 3 and 4 */
      "ubfx r0, r0, #3, #2\n movs r2, #76\n adr.w r1, 2f\n mla r1, r0, r2, r1\n orr r1, r1, #1\n"
      "str r1, [sp, #32]\n ldr r12, [sp, #12]\n ldr lr, [sp, #8]\n"
      "1:\n ldr r6, [r12, #12]\n ldr.w r9, [r12, #28]\n"
      "mov r7, r6\n mov r8, r6\n mov r10, r9\n mov r11, r9\n"
      "ldr.w r12, [sp, #0]\n ldr.w pc, [sp, #32]\n"
      ".p2align 2\n 2:\n" TILE_STEP TILE_STEP TILE_STEP TILE_STEP
      "ldr r3, [sp, #4]\n cmp r12, r3\n bne.w 2b\n"
      "ldr.w r12, [sp, #12]\n ldr r4, [sp, #28]\n ldr r3, [sp, #16]\n ldr r5, [sp, #20]\n"
      "cbz r4, 3f\n cmp r4, #1\n beq.w 4f\n"
      "stmia.w r3, {r6-r11}\n b.w 9f\n"
      "3:\n" TILE_FINISH(SINGLE)
      "4:\n" TILE_FINISH(DOUBLE)
      "9:\n add sp, #36\n pop {r4-r11, pc}\n");
}
#else
static void multiply_tile(const tile* arguments) {
  tile t = *arguments;
  const int32_t steps = (int32_t)(t.x_end - t.x) / 6;
  for (; t.y < t.y_end; t.y += 2, t.q += 2, t.w += 8 * steps) {
    for (int32_t c = 0; c < 2; ++c) {
      for (int32_t p = 0; p < 3; ++p) {
        int32_t sum = t.q[c].bias;
        for (int32_t k = 0; k < steps; ++k) {
          const uint32_t w = load4(t.w + 8 * k + 4 * c);
          sum = products(t.x[6 * k + p], even_bytes(w), sum);
          sum = products(t.x[6 * k + 3 + p], odd_bytes(w), sum);
        }
        store_sum(t.y, t.mode == RAW ? 3 * c + p : p * t.y_stride + c, sum, t.q + c, t.mode);
      }
    }
  }
}
#endif

/* Gathering. */

/* `words` words of each of three pixels, into a tile. */
typedef struct {
  uint32_t* to;
  const int8_t* from[3];
  int32_t words;
} three_runs;

/* Returns where the next ones go. */
#if ARMV7EM
ASSEMBLY uint32_t* put_three_runs(ARGUMENTS three_runs* t) {
  __asm__ volatile(
      "push {r4-r10, lr}\n ldmia.w r0, {r0-r4}\n"
      "1:\n ldr r5, [r1], #4\n ldr r6, [r2], #4\n ldr r7, [r3], #4\n"
      "sxtb16 r8, r5\n sxtb16 r9, r6\n sxtb16 r10, r7\n stmia.w r0!, {r8-r10}\n"
      "sxtb16 r8, r5, ror #8\n sxtb16 r9, r6, ror #8\n sxtb16 r10, r7, ror #8\n stmia.w r0!, {r8-r10}\n"
      "subs r4, #1\n bne.n 1b\n pop {r4-r10, pc}\n");
}
#else
static uint32_t* put_three_runs(const three_runs* t) {
  for (int32_t p = 0; p < 3; ++p) {
    for (int32_t i = 0; i < t->words; ++i) {
      const uint32_t word = load4(t->from[p] + 4 * i);
      t->to[6 * i + p] = even_bytes(word);
      t->to[6 * i + 3 + p] = odd_bytes(word);
    }
  }
  return t->to + 6 * t->words;
}
#endif

/* `count` bytes; whole words are written, and read where that is within the image, which ends at `limit`. */
INLINE void copy_run(int8_t* to, const int8_t* from, int32_t count, const int8_t* limit) {
  if (limit - from >= count + 3) {
    for (int32_t i = 0; i < count; i += 4) store4(to + i, load4(from + i));
  } else {
    for (int32_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

INLINE void fill_run(int8_t* to, int32_t count, uint32_t fill) {
  for (int32_t i = 0; i < count; i += 4) store4(to + i, fill);
}

/* A window's place: its first row and column, and its image. */
typedef struct {
  const int8_t* image;
  int32_t top, left;
} place;

/* What does not change from window to window: `pitch` is the bytes of a row of the image, `limit` ends x. */
typedef struct {
  const edgecompile_conv_geometry* g;
  const int8_t* limit;
  int32_t depth, run, pitch, steps;
  /* whether a row of a window is in one piece, and in whole words; whether no window leaves the image */
  int32_t together, whole, inside;
} windows;

INLINE int32_t is_inside(const windows* w, place at) {
  const edgecompile_conv_geometry* g = w->g;
  if (w->inside) return 1;
  return at.top >= 0 && at.left >= 0 && at.top + (g->kernel_height - 1) * g->dilation_y < g->input_height &&
         at.left + (g->kernel_width - 1) * g->dilation_x < g->input_width;
}

/* A window inside of the image, of whole rows, as bytes; up to 3 more are read and written. */
static void put_rows(int8_t* to, const int8_t* from, int32_t run, int32_t rows, int32_t step) {
  for (; rows > 0; --rows, from += step - run) {
    int8_t* const next = to + run;
    const int8_t* const end = from + run;
    for (; from < end; from += 4, to += 4) store4(to, load4(from));
    from = end;
    to = next;
  }
}

/* A window as bytes; up to 3 more are written. */
static void put_bytes(int8_t* to, const windows* w, place at) {
  const edgecompile_conv_geometry* g = w->g;
  const int8_t* limit = w->limit;
  const int32_t pixel = g->input_channels, depth = w->depth;
  const uint32_t fill = four_bytes(g->x_zero);
  const int32_t first = below(0, at.left, g->dilation_x, g->kernel_width);
  const int32_t end = below(g->input_width, at.left, g->dilation_x, g->kernel_width);
  for (int32_t ky = 0; ky < g->kernel_height; ++ky, at.top += g->dilation_y, to += w->run) {
    if (at.top < 0 || at.top >= g->input_height) {
      fill_run(to, w->run, fill);
      continue;
    }
    /* From left to right, because whole words are written. */
    const int8_t* from = at.image + at.top * w->pitch + (at.left + first * g->dilation_x) * pixel;
    fill_run(to, first * depth, fill);
    if (w->together) {
      copy_run(to + first * depth, from, (end - first) * depth, limit);
    } else {
      for (int32_t kx = first; kx < end; ++kx, from += g->dilation_x * pixel) {
        copy_run(to + kx * depth, from, depth, limit);
      }
    }
    fill_run(to + end * depth, (g->kernel_width - end) * depth, fill);
  }
}

/* Three windows as a tile; `bytes` is room for each of them and 4 bytes. */
static void put_tile(uint32_t* to, int8_t* bytes, const windows* w, const place at[3]) {
  const edgecompile_conv_geometry* g = w->g;
  three_runs t = {to, {NULL, NULL, NULL}, w->run / 4};
  if (!w->whole || !is_inside(w, at[0]) || !is_inside(w, at[1]) || !is_inside(w, at[2])) {
    for (int32_t p = 0; p < 3; ++p, bytes += 4 * w->steps + 4) {
      const int32_t from = at[p].top * w->pitch + at[p].left * g->input_channels;
      const int32_t step = g->dilation_y * w->pitch, end = from + (g->kernel_height - 1) * step + w->run;
      if (w->together && is_inside(w, at[p]) && end + 3 <= w->limit - at[p].image) {
        put_rows(bytes, at[p].image + from, w->run, g->kernel_height, step);
      } else {
        put_bytes(bytes, w, at[p]);
      }
      t.from[p] = bytes;
    }
    t.words = w->steps;
    put_three_runs(&t);
    return;
  }
  for (int32_t p = 0; p < 3; ++p) {
    t.from[p] = at[p].image + at[p].top * w->pitch + at[p].left * g->input_channels;
  }
  for (int32_t ky = g->kernel_height;;) {
    t.to = put_three_runs(&t);
    if (--ky == 0) return;
    for (int32_t p = 0; p < 3; ++p) t.from[p] += g->dilation_y * w->pitch;
  }
}

/* Convolution. */

/* 3 pixels of which `pixels` are stored, times all channels of a group. */
static void finish_tile(tile* t, int32_t channels, int32_t pixels, const edgecompile_output* o) {
  int32_t done = 0;
  if (o->fast && pixels == 3 && channels > 1) {
    done = channels & ~1;
    t->y_end = t->y + done;
    t->mode = o->rounding;
    multiply_tile(t);
    if (done == channels) return;
  }
  int32_t sums[6];
  tile one = *t;
  one.y = (int8_t*)sums;
  one.y_end = one.y + 2;
  one.mode = RAW;
  for (; done < channels; done += 2) {
    one.w = t->w + done * 4 * ((t->x_end - t->x) / 6);
    one.q = t->q + done;
    multiply_tile(&one);
    for (int32_t c = done; c < done + 2 && c < channels; ++c) {
      for (int32_t p = 0; p < pixels; ++p) {
        t->y[p * t->y_stride + c] = edgecompile_requantize(sums[3 * (c - done) + p], t->q + c, o);
      }
    }
  }
}

/* Where the window of output pixel `index` is, counted over all images. */
static place find_place(const windows* w, const int8_t* x, int32_t index) {
  const edgecompile_conv_geometry* g = w->g;
  const int32_t row = index / g->output_width, image = row / g->output_height;
  const int32_t oy = row - image * g->output_height, ox = index - row * g->output_width;
  const place result = {x + image * g->input_height * w->pitch, oy * g->stride_y - g->pad_top,
                        ox * g->stride_x - g->pad_left};
  return result;
}

SHARED int32_t edgecompile_conv_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                   const edgecompile_conv_geometry* g, int8_t* y, void* workspace) {
  const int32_t depth = g->input_channels / g->groups, channels = g->output_channels / g->groups;
  const int32_t steps = (g->kernel_height * g->kernel_width * depth + 3) / 4;
  const int32_t pixels = g->batch * g->output_height * g->output_width;
  const int32_t together = g->kernel_width == 1 || (g->groups == 1 && g->dilation_x == 1);
  const int32_t run = g->kernel_width * depth, pitch = g->input_width * g->input_channels;
  const int32_t bottom_row = (g->output_height - 1) * g->stride_y + (g->kernel_height - 1) * g->dilation_y;
  const int32_t last_column = (g->output_width - 1) * g->stride_x + (g->kernel_width - 1) * g->dilation_x;
  const windows all = {
      .g = g,
      .limit = x + g->batch * g->input_height * pitch,
      .depth = depth,
      .run = run,
      .pitch = pitch,
      .steps = steps,
      .together = together,
      .whole = together && run % 4 == 0,
      .inside = g->pad_top == 0 && g->pad_left == 0 && bottom_row < g->input_height &&
                last_column < g->input_width,
  };
  const int32_t right = g->output_width * g->stride_x - g->pad_left;
  uint32_t* words = workspace;
  tile t = {words, words + 6 * steps, w, (const channel*)q, y, g->output_channels, NULL, RAW, 0};
  for (int32_t group = 0; group < g->groups; ++group, x += depth, y += channels) {
    place next = {x, 0, right};
    for (int32_t done = 0; done < pixels; done += 3) {
      /* The last tile ends with the last pixel, and computes some of the tile before again. */
      const int32_t first = pixels < 3 || done + 3 <= pixels ? done : pixels - 3;
      const int32_t last = pixels < 3 ? pixels - 1 : 2;
      place at[3];
      for (int32_t p = 0; p < 3; ++p) {
        /* A window beside the one before is found without dividing. */
        if (p > last || next.left >= right || (p == 0 && first != done)) {
          next = find_place(&all, x, first + (p < last ? p : last));
        }
        at[p] = next;
        next.left += g->stride_x;
      }
      put_tile(words, (int8_t*)(words + 6 * steps), &all, at);
      t.y = y + first * g->output_channels;
      finish_tile(&t, channels, last + 1, &g->output);
    }
    t.w += (channels + 1) / 2 * 8 * steps;
    t.q += (channels + 1) / 2 * 2;
  }
  edgecompile_clamp(y - g->output_channels, pixels * g->output_channels, &g->output);
  return 0;
}
