/* Depthwise convolution.

   For 16 channels at a time some rows of the image are turned: in the strip each channel has a line, in which a
   pixel is a unit of four bytes for up to three rows under the window (the fourth byte is junk, and its weight
   is 0). So a window is contiguous, and one VMLADAV does three columns of three rows. Where the rows under
   several output rows fit, a line has one after the other, and goes on over the places between them as if there
   were pixels too. Four results of a channel are requantized together and stored at any distance; those without
   a pixel go where the last one of the line is stored afterwards (or by a later lane, and lanes are stored in
   order). The strip runs along that axis of the image on which fewer results of such fours are wasted. */

#include "mve.h"

enum { UNIT = 4, UNIT_ROWS = 3, LINE_BYTES = 256, FOUR = 4 };

/* The image along one axis: the strip runs along `slide`, and `cross` is the other one. */
typedef struct {
  int32_t input, output, kernel, stride, dilation, pad;
  int32_t x_pitch, y_pitch, w_pitch; /* from one to the next, in bytes */
} axis;

typedef struct {
  axis slide, cross;
  int32_t repeat;       /* outputs of a channel */
  int32_t unit;         /* bytes of a pixel in a line */
  int32_t pixels, rows; /* of output that a line has at most; rows > 1 only where all pixels fit */
  int32_t row_units;    /* from one row of a line to the next, a multiple of the stride */
  int32_t line;         /* bytes of a channel */
  int32_t taps;         /* bytes of a channel's weights, a multiple of 16 */
  int32_t fours;        /* results of a line, divided by four */
} depthwise_layout;

static void choose_axes(const edgecompile_conv_geometry* g, depthwise_layout* d) {
  const int32_t c = g->input_channels, o = g->output_channels;
  const axis x = {g->input_width, g->output_width, g->kernel_width, g->stride_x, g->dilation_x,
                  g->pad_left,    c,               o,               o};
  const axis y = {g->input_height, g->output_height,   g->kernel_height,    g->stride_y,        g->dilation_y,
                  g->pad_top,      c * g->input_width, o * g->output_width, o * g->kernel_width};
  const int upright = round_up(y.output, FOUR) * x.output < round_up(x.output, FOUR) * y.output;
  d->slide = upright ? y : x;
  d->cross = upright ? x : y;
}

/* Results of a line with so many pixels and rows, divided by four. */
static int32_t fours_of(const depthwise_layout* d, int32_t pixels, int32_t rows) {
  return round_up((rows - 1) * (d->row_units / d->slide.stride) + pixels, FOUR) / FOUR;
}

static depthwise_layout turned(const edgecompile_conv_geometry* g) {
  depthwise_layout d;
  choose_axes(g, &d);
  const int32_t stride = d.slide.stride, span = (d.slide.kernel - 1) * d.slide.dilation + 1;
  d.repeat = g->output_channels / g->input_channels;
  d.unit = round_up(d.cross.kernel, UNIT_ROWS) / UNIT_ROWS * UNIT;
  d.pixels = min_int(d.slide.output, max_int((LINE_BYTES / d.unit - span) / stride + 1, FOUR));
  d.row_units = round_up((d.pixels - 1) * stride + span, stride);
  const int32_t fitting = max_int(LINE_BYTES / (d.row_units * d.unit), 1);
  d.rows = d.pixels < d.slide.output ? 1 : min_int(fitting, d.cross.output);
  d.line = d.rows * d.row_units * d.unit;
  d.taps = round_up(span * d.unit, LANES);
  d.fours = fours_of(&d, d.pixels, d.rows);
  return d;
}

/* Where three rows of the image go, in the order of the registers that take it: r1 to r12, lr. */
typedef struct {
  const int8_t* rows[UNIT_ROWS];
  int32_t steps[UNIT_ROWS]; /* 0 for a row outside of the image */
  int8_t* lines[FOUR];      /* of channels 0 to 3 */
  int32_t unit;
  int32_t channels; /* up to 16 */
  int32_t count;    /* pixels, at least 1 */
  int32_t line;     /* 52: bytes, from one channel to the next */
} turn_job;

/* Bytes a b c of a channel become a word. Q0 to q2 are the rows; shifts that insert make pairs (a, b) and
   (c, junk) of even and of odd channels, and words of every fourth channel from those. */
ASSEMBLY void turn_pixels(const turn_job* job UNUSED) {
  __asm__ volatile(
      "push {r4-r11,lr}\n vpush {d8-d15}\n ldr r1,[r0,#52]\n mov r2,#0\n lsl r3,r1,#2\n lsl r4,r1,#3\n"
      "add r5,r4,r3\n vmov q7[2],q7[0],r2,r4\n vmov q7[3],q7[1],r3,r5\n ldm r0,{r1-r12,lr}\n"
      "vctp.8 r12\n dls lr,lr\n 1:\n"
      "vpsttt\n vldrbt.8 q0,[r1]\n vldrbt.8 q1,[r2]\n vldrbt.8 q2,[r3]\n add r1,r4\n add r2,r5\n add r3,r6\n"
      "vmov q3,q0\n vsli.16 q0,q1,#8\n vsri.16 q1,q3,#8\n vshr.u16 q3,q2,#8\n vmov q4,q0\n"
      "vsli.32 q0,q2,#16\n vsri.32 q2,q4,#16\n vmov q5,q1\n vsli.32 q1,q3,#16\n vsri.32 q3,q5,#16\n"
      "vstrw.32 q0,[r7,q7]\n vstrw.32 q1,[r8,q7]\n vstrw.32 q2,[r9,q7]\n vstrw.32 q3,[r10,q7]\n"
      "vadd.i32 q7,q7,r11\n le lr,1b\n vpop {d8-d15}\n pop {r4-r11,pc}\n");
}

/* The lines of up to 16 channels. The assembly finds the fields by their offset. */
typedef struct {
  const int32_t* q;       /*  0: the first of four words */
  const int8_t* w;        /*  4 */
  int32_t line;           /*  8 */
  int32_t y_step;         /* 12: from channel to channel of y, and of q */
  const int32_t* offsets; /* 16: of the results, from y */
  int32_t fours;          /* 20 */
  int32_t x_step, blocks; /* 24, 28: bytes from window to window; vectors of a window */
  int32_t y_zero, lo, hi; /* 32, 36, 40 */
  int32_t mode;           /* 44 */
  int32_t channels;       /* 48 */
  const int8_t* strip;    /* 52 */
  int8_t* y;              /* 56 */
} line_job;

/* Leaves x_step, blocks, y_zero, lo, hi, mode, channels, strip in r1 to r8, strip also in r12, y in r0, and
   y_step in r11. */
#define ENTER_LINES                                                                                    \
  "push {r4-r11,lr}\n vpush {d8-d15}\n sub sp,#72\n mov r12,sp\n ldm r0!,{r1-r6}\n stm r12!,{r1-r6}\n" \
  "mov r11,r4\n ldm r0!,{r1-r8}\n stm r12,{r1-r8}\n mov r12,r8\n ldr r0,[r0]\n"
#define LEAVE_LINES "add sp,#72\n vpop {d8-d15}\n pop {r4-r11,pc}\n"

#define WINDOW(a, v, step) "vldrb.8 " v ",[r1],#" step "\n vmladav.s8 " a "," v ",q7\n"
#define SCALE_SINGLE "vqdmulh.s32 q1,q1,r8\n"
#define SCALE_DOUBLE "vqrdmulh.s32 q1,q1,r8\n vshr.s32 q0,q1,#31\n vqadd.s32 q1,q1,q0\n"

/* The usual case: a window in one vector, fast rounding, windows `step` bytes apart. r12 strip, r3 y (a step
   behind), r11 channels left, r5 bias, r8 multiplier, r10 -right, r9 zero point, r7 offsets. */
#define LINES(step, scale)                                                                             \
  ENTER_LINES "vdup.32 q5,r4\n vdup.32 q6,r5\n mov r9,r3\n sub r3,r0,r11\n mov r11,r7\n 10:\n"         \
  "ldm sp,{r0,r1,r2,r4,r7,lr}\n ldm r0,{r5,r8,r10}\n add r0,r0,r4,lsl #4\n vldrb.8 q7,[r1],#16\n"      \
  "strd r0,r1,[sp]\n mov r1,r12\n add r12,r2\n add r3,r4\n dls lr,lr\n 1:\n"                           \
  WINDOW("r0", "q0", step) WINDOW("r2", "q2", step) WINDOW("r4", "q0", step) WINDOW("r6", "q2", step)  \
  "vmov q1[2],q1[0],r0,r4\n vmov q1[3],q1[1],r2,r6\n vldrw.32 q4,[r7],#16\n vadd.i32 q1,q1,r5\n" scale \
  "vrshl.s32 q1,r10\n vadd.i32 q1,q1,r9\n vmin.s32 q1,q1,q6\n vmax.s32 q1,q1,q5\n"                     \
  "vstrb.32 q1,[r3,q4]\n le lr,1b\n subs r11,#1\n bne 10b\n" LEAVE_LINES

ASSEMBLY void lines_4(const line_job* job UNUSED) { __asm__ volatile(LINES("4", SCALE_SINGLE)); }
ASSEMBLY void lines_8(const line_job* job UNUSED) { __asm__ volatile(LINES("8", SCALE_SINGLE)); }
ASSEMBLY void double_lines_4(const line_job* job UNUSED) { __asm__ volatile(LINES("4", SCALE_DOUBLE)); }
ASSEMBLY void double_lines_8(const line_job* job UNUSED) { __asm__ volatile(LINES("8", SCALE_DOUBLE)); }

/* Any window and rounding. r12 strip, r3 y (a step behind), r8 blocks, r7 offsets, r1 r5 r9 r10 four windows,
   r11 weights. On the stack in place of `strip` the bias, and behind it: weights, the way from the end of a
   window to the next but three, fours left. */
ASSEMBLY void lines_any(const line_job* job UNUSED) {
  __asm__ volatile(
      ENTER_LINES
      "mov r8,r2\n lsl r9,r1,#2\n sub r9,r9,r8,lsl #4\n str r9,[sp,#60]\n sub r3,r0,r11\n 10:\n"
      "ldm sp,{r0,r1,r2,r4,r7,r11}\n str r1,[sp,#56]\n str r11,[sp,#64]\n mov r9,r0\n"
      "add r0,r0,r4,lsl #4\n add r1,r1,r8,lsl #4\n strd r0,r1,[sp]\n mov r1,r12\n add r12,r2\n add r3,r4\n"
      "ldm r9,{r0,r2,r4,r6}\n str r0,[sp,#52]\n vdup.32 q1,r2\n vdup.32 q2,r4\n vdup.32 q3,r6\n 11:\n"
      "ldr r2,[sp,#24]\n ldrd r0,r11,[sp,#52]\n add r5,r1,r2\n add r9,r5,r2\n add r10,r9,r2\n mov r2,r0\n"
      "mov r4,r0\n mov r6,r0\n dls lr,r8\n 1:\n vldrb.8 q7,[r11],#16\n vldrb.8 q6,[r1],#16\n"
      "vmladava.s8 r0,q6,q7\n vldrb.8 q5,[r5],#16\n vmladava.s8 r2,q5,q7\n vldrb.8 q6,[r9],#16\n"
      "vmladava.s8 r4,q6,q7\n vldrb.8 q5,[r10],#16\n vmladava.s8 r6,q5,q7\n le lr,1b\n ldr r5,[sp,#60]\n"
      "add r1,r5\n vmov q5[2],q5[0],r0,r4\n vmov q5[3],q5[1],r2,r6\n ldr r6,[sp,#44]\n"
      "bl edgecompile_mve_requantize\n"
      "ldrd r0,r2,[sp,#32]\n ldr r4,[sp,#40]\n vdup.32 q6,r2\n vdup.32 q7,r4\n vldrw.32 q4,[r7],#16\n"
      "vqadd.s32 q5,q5,r0\n vmin.s32 q5,q5,q7\n vmax.s32 q5,q5,q6\n vstrb.32 q5,[r3,q4]\n ldr r0,[sp,#64]\n"
      "subs r0,#1\n str r0,[sp,#64]\n bne 11b\n ldr r0,[sp,#48]\n subs r0,#1\n str r0,[sp,#48]\n bne 10b\n"
      LEAVE_LINES);
}

static void run_lines(const line_job* job) {
  void (*lines)(const line_job*) = lines_any;
  if (job->blocks == 1 && job->mode == MODE_FAST_SINGLE) {
    if (job->x_step == 4) lines = lines_4;
    if (job->x_step == 8) lines = lines_8;
  } else if (job->blocks == 1 && job->mode == MODE_FAST_DOUBLE) {
    if (job->x_step == 4) lines = double_lines_4;
    if (job->x_step == 8) lines = double_lines_8;
  }
  lines(job);
}

/* The weights of up to 16 channels, in the order of the strip. */
static void put_weights(const depthwise_layout* d, const int8_t* w, int8_t* taps, int32_t channels) {
  fill(taps, 0, channels * d->taps);
  for (int32_t row = 0; row < d->cross.kernel; ++row) {
    for (int32_t column = 0; column < d->slide.kernel; ++column) {
      const int8_t* from = w + row * d->cross.w_pitch + column * d->slide.w_pitch;
      int8_t* to = taps + column * d->slide.dilation * d->unit + row / UNIT_ROWS * UNIT + row % UNIT_ROWS;
      if (d->taps == LANES && d->repeat == 1) {
        int32_t first = 0;
        __asm__ volatile(
            "vidup.u8 q1,%[first],#8\n vshl.i8 q1,q1,#1\n vctp.8 %[channels]\n vpstt\n vldrbt.8 q0,[%[from]]\n"
            "vstrbt.8 q0,[%[to],q1]\n"
            : [first] "+Te"(first)
            : [channels] "r"(channels), [from] "r"(from), [to] "r"(to)
            : "q0", "q1", "memory");
        continue;
      }
      for (int32_t c = 0; c < channels; ++c, from += d->repeat, to += d->taps) *to = *from;
    }
  }
}

/* Where the results of a line go, from its first one: those without a pixel are at the start and between rows. */
static void put_offsets(const depthwise_layout* d, int32_t pixels, int32_t rows, int32_t* offsets) {
  const int32_t results = d->row_units / d->slide.stride, fours = fours_of(d, pixels, rows);
  const int32_t last = (rows - 1) * d->cross.y_pitch + (pixels - 1) * d->slide.y_pitch;
  for (int32_t i = fours * FOUR - ((rows - 1) * results + pixels); i > 0; --i) *offsets++ = last;
  for (int32_t row = 0; row < rows; ++row) {
    const int32_t end = row + 1 < rows ? results : pixels;
    for (int32_t i = 0; i < end; ++i) {
      *offsets++ = i < pixels ? row * d->cross.y_pitch + i * d->slide.y_pitch : last;
    }
  }
}

/* The parts of the workspace. The bytes before the strip may be read, as a line starts at a multiple of four. */
typedef struct {
  int32_t* offsets[2]; /* for full lines, and for the last one where that is shorter */
  int8_t *zeros, *strip, *taps;
} depthwise_space;

static depthwise_space divide(const depthwise_layout* d, void* workspace) {
  depthwise_space s;
  s.offsets[0] = workspace;
  s.offsets[1] = s.offsets[0] + d->fours * FOUR;
  s.zeros = (int8_t*)(s.offsets[1] + d->fours * FOUR);
  s.strip = s.zeros + LANES + (FOUR - 1) * d->slide.stride * d->unit;
  s.taps = s.strip + LANES * d->line;
  return s;
}

/* The rows under `rows` output rows from `row` on become units of the strip, as far as their pixels from `at` on
   are in the image. */
static void turn_rows(const depthwise_layout* d, const depthwise_space* s, const int8_t* image, int32_t channels,
                      int32_t at, int32_t row, int32_t rows) {
  const int32_t before = max_int(-at, 0), count = min_int(d->slide.input - at, d->row_units) - before;
  const int32_t pitch = d->cross.x_pitch, step = d->slide.x_pitch, height = d->cross.input;
  int8_t* unit = s->strip + before * d->unit;
  turn_job job = {.unit = d->unit, .channels = channels, .count = count, .line = d->line};
  if (count <= 0) return;
  image += (at + before) * step;
  for (int32_t i = 0; i < rows; ++i, unit += d->row_units * d->unit) {
    int32_t position = (row + i) * d->cross.stride - d->cross.pad;
    for (int32_t tap = 0; tap < d->cross.kernel; tap += UNIT_ROWS) {
      for (int32_t j = 0; j < UNIT_ROWS; ++j, position += d->cross.dilation) {
        const int inside = (uint32_t)position < (uint32_t)height && tap + j < d->cross.kernel;
        job.rows[j] = inside ? image + position * pitch : s->zeros;
        job.steps[j] = inside ? step : 0;
      }
      int8_t* line = unit + tap / UNIT_ROWS * UNIT;
      for (int32_t j = 0; j < FOUR; ++j, line += d->line) job.lines[j] = line;
      turn_pixels(&job);
    }
  }
}

/* The channels of `job` of one image; `y` is at its first pixel. */
static void depthwise_block(const depthwise_layout* d, const depthwise_space* s, const int8_t* image, int8_t* y,
                            line_job* job) {
  for (int32_t first = 0; first < d->slide.output; first += d->pixels) {
    const int32_t pixels = min_int(d->pixels, d->slide.output - first);
    const int32_t at = first * d->slide.stride - d->slide.pad;
    if (d->pixels < d->slide.output) fill(s->strip, *s->zeros, LANES * d->line);
    for (int32_t row = 0; row < d->cross.output; row += d->rows) {
      const int32_t rows = min_int(d->rows, d->cross.output - row);
      turn_rows(d, s, image, job->channels, at, row, rows);
      job->fours = fours_of(d, pixels, rows);
      job->offsets = s->offsets[pixels < d->pixels || rows < d->rows];
      const int32_t results = (rows - 1) * (d->row_units / d->slide.stride) + pixels;
      job->strip = s->strip - (job->fours * FOUR - results) * job->x_step;
      job->y = y + first * d->slide.y_pitch + row * d->cross.y_pitch;
      run_lines(job);
    }
  }
}

SHARED int32_t edgecompile_depthwise_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                        const edgecompile_conv_geometry* g, int8_t* y, void* workspace) {
  const depthwise_layout d = turned(g);
  const depthwise_space s = divide(&d, workspace);
  const int32_t channels = g->input_channels, image = g->input_height * g->input_width;
  const int32_t results = g->output_height * g->output_width;
  const int32_t pixels_left = d.slide.output % d.pixels, rows_left = d.cross.output % d.rows;
  put_offsets(&d, d.pixels, d.rows, s.offsets[0]);
  put_offsets(&d, pixels_left ? pixels_left : d.pixels, rows_left ? rows_left : d.rows, s.offsets[1]);
  fill(s.zeros, g->x_zero, LANES);
  fill(s.strip, g->x_zero, LANES * d.line);
  /* Output channels c * repeat + member, 16 of c at a time. */
  for (int32_t i = 0; i < round_up(channels, LANES) / LANES * d.repeat; ++i) {
    const int32_t c = i / d.repeat * LANES, output = c * d.repeat + i % d.repeat;
    line_job job = {.q = q + 4 * output,
                    .w = s.taps,
                    .line = d.line,
                    .y_step = d.repeat,
                    .x_step = d.slide.stride * d.unit,
                    .blocks = d.taps / LANES,
                    .y_zero = g->output.y_zero,
                    .lo = g->output.lo,
                    .hi = g->output.hi,
                    .mode = mode_of(&g->output),
                    .channels = min_int(LANES, channels - c)};
    put_weights(&d, w + output, s.taps, job.channels);
    for (int32_t b = 0; b < g->batch; ++b) {
      depthwise_block(&d, &s, x + b * image * channels + c, y + b * results * g->output_channels + output, &job);
    }
  }
  return 0;
}
