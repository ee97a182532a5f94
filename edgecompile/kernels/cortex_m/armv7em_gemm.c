/* Matrix product: 1 row x 4 channels at a time. */

#include "armv7em.h"

/* x: [K/4][2] pairs of int16; w: [N/4][K/4][4][4] int8; q: [N/4][4]. RAW stores 4 int32 at y. */
typedef struct {
  const uint32_t *x, *x_end;
  const int8_t* w;
  const channel* q;
  int8_t *y, *y_end;
  int32_t mode, entry;
} row;

#if ARMV7EM
#define ROW_MULTIPLY(w, sum) \
  "sxtb16 r10, " w "\n smlad " sum ", r4, r10, " sum "\n" \
  "sxtb16 r10, " w ", ror #8\n smlad " sum ", r5, r10, " sum "\n"
/* 72 bytes, 16 products */
#define ROW_STEP \
  "ldmia.w r11!, {r4, r5}\n ldmia.w r12!, {r6, r7, r8, r9}\n" \
  ROW_MULTIPLY("r6", "r0") ROW_MULTIPLY("r7", "r1") ROW_MULTIPLY("r8", "r2") ROW_MULTIPLY("r9", "r3")
#define ROW_STORE(FORM, a) \
  "ldmia.w r11!, {r4-r7}\n" FORM(a, "r4", "r5", "r6", "r7") "strb.w " a ", [r8], #1\n"
#define ROW_FINISH(FORM) \
  ROW_STORE(FORM, "r0") ROW_STORE(FORM, "r1") ROW_STORE(FORM, "r2") ROW_STORE(FORM, "r3") \
  "str.w r8, [sp, #16]\n ldr r0, [sp, #20]\n cmp r8, r0\n bne.w 1b\n b.w 9f\n"

ASSEMBLY void multiply_row(ARGUMENTS row* t) {
  __asm__ volatile(
      "push {r4-r11, lr}\n ldmia.w r0, {r1-r8}\n push {r1-r8}\n"
      "ldrd r0, lr, [sp, #0]\n sub r0, lr, r0\n"  /* 8 bytes a step */
      "rsbs r0, r0, #0\n ubfx r0, r0, #3, #2\n movs r2, #72\n adr.w r1, 2f\n mla r1, r0, r2, r1\n"
      "orr r1, r1, #1\n str r1, [sp, #28]\n ldr.w r11, [sp, #12]\n ldr.w r12, [sp, #8]\n"
      "1:\n ldr.w r0, [r11, #12]\n ldr.w r1, [r11, #28]\n ldr.w r2, [r11, #44]\n ldr.w r3, [r11, #60]\n"
      "str.w r11, [sp, #12]\n ldr.w r11, [sp, #0]\n ldr.w pc, [sp, #28]\n"
      ".p2align 2\n 2:\n" ROW_STEP ROW_STEP ROW_STEP ROW_STEP
      "cmp r11, lr\n bne.w 2b\n"
      "ldr.w r11, [sp, #12]\n ldr.w r8, [sp, #16]\n ldr r4, [sp, #24]\n"
      "cbz r4, 3f\n cmp r4, #1\n beq.w 4f\n"
      "stmia.w r8, {r0-r3}\n b.w 9f\n"
      "3:\n" ROW_FINISH(SINGLE)
      "4:\n" ROW_FINISH(DOUBLE)
      "9:\n add sp, #32\n pop {r4-r11, pc}\n");
}
#else
static void multiply_row(const row* arguments) {
  row t = *arguments;
  const int32_t steps = (int32_t)(t.x_end - t.x) / 2;
  for (; t.y < t.y_end; t.y += 4, t.q += 4, t.w += 16 * steps) {
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = t.q[c].bias;
      for (int32_t k = 0; k < steps; ++k) {
        const uint32_t w = load4(t.w + 16 * k + 4 * c);
        sum = products(t.x[2 * k + 1], odd_bytes(w), products(t.x[2 * k], even_bytes(w), sum));
      }
      store_sum(t.y, c, sum, t.q + c, t.mode);
    }
  }
}
#endif

/* Matrix product, row by row. */

static void finish_row(row* t, int32_t channels, const edgecompile_output* o) {
  int32_t done = 0;
  if (o->fast && channels >= 4) {
    done = channels & ~3;
    t->y_end = t->y + done;
    t->mode = o->rounding;
    multiply_row(t);
    if (done == channels) return;
  }
  int32_t sums[4];
  row one = *t;
  one.y = (int8_t*)sums;
  one.y_end = one.y + 4;
  one.mode = RAW;
  for (; done < channels; done += 4) {
    one.w = t->w + done * 4 * ((t->x_end - t->x) / 2);
    one.q = t->q + done;
    multiply_row(&one);
    for (int32_t c = done; c < done + 4 && c < channels; ++c) {
      t->y[c] = edgecompile_requantize(sums[c - done], t->q + c, o);
    }
  }
}

SHARED int32_t edgecompile_gemm_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                   const edgecompile_gemm_geometry* g, int8_t* y, void* workspace) {
  const int32_t steps = (g->depth + 3) / 4;
  uint32_t* words = workspace;
  for (int32_t r = 0; r < g->rows; ++r, x += g->depth, y += g->columns) {
    uint32_t* to = words;
    for (int32_t k = 0; k < g->depth; k += 4, to += 2) {
      uint32_t word = 0;
      if (k + 4 <= g->depth) {
        word = load4(x + k);
      } else {
        memcpy(&word, x + k, (size_t)(g->depth - k));
      }
      to[0] = even_bytes(word);
      to[1] = odd_bytes(word);
    }
    row t = {words, words + 2 * steps, w, (const channel*)q, y, NULL, RAW, 0};
    finish_row(&t, g->columns, &g->output);
    edgecompile_clamp(y, g->columns, &g->output);
  }
  return 0;
}
