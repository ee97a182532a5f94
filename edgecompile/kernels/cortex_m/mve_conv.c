/* Convolution: windows become rows, for products with packed weights. */

#include "mve.h"

/* A strip grows up to this size, if it is not one tile of pixels. */
enum { STRIP_BYTES = 4096 };

/* copy_short for any `bytes`. With `step` 0 the 16 bytes at `from` are repeated, instead of read on. */
static void copy_runs(int8_t* to, int32_t to_pitch, const int8_t* from, int32_t from_pitch, int32_t count,
                      int32_t bytes, int32_t step) {
  for (; bytes > 0; bytes -= LANES, to += LANES, from += step) {
    copy_short(to, to_pitch, from, from_pitch, count, min_int(bytes, LANES));
  }
}

/* How windows become contiguous. The strip under some pixels of one output row holds them in either way:
   columns  a column of the image (its rows under the window, one after the other) is copied once, and windows
            overlap as they do in the image: K is in the order (kx, ky, c);
   windows  each pixel has its own copy, for images with few channels, in the order (ky, kx, c). */
typedef struct {
  int32_t channels, depth;    /* of one group */
  int32_t kx_bytes, ky_bytes; /* from one tap to the next */
  int32_t pixel_bytes;        /* from one window to the next */
  int32_t pixels;             /* a strip has so many at most */
  int columns;
} strip_layout;

static strip_layout layout_of(const edgecompile_conv_geometry* g) {
  strip_layout s;
  s.channels = g->input_channels / g->groups;
  s.depth = g->kernel_height * g->kernel_width * s.channels;
  const int few = g->groups == 1 && g->kernel_width * s.channels <= LANES;
  s.kx_bytes = few ? s.channels : g->kernel_height * s.channels;
  s.ky_bytes = few ? g->kernel_width * s.channels : s.channels;
  s.columns = !few && g->dilation_x == 1;
  s.pixel_bytes = s.columns ? g->stride_x * s.kx_bytes : s.depth;
  s.pixels = min_int(g->output_width, max_int(STRIP_BYTES / s.pixel_bytes / TILE_PIXELS, 1) * TILE_PIXELS);
  return s;
}

/* The rows of the image under a window: the first one, and which of the window's rows are in the image. */
typedef struct {
  const int8_t* image; /* at column 0, row `top`, first channel of the group */
  int32_t pitch;       /* to the next row under the window */
  int32_t first, end;
} window_rows;

static window_rows rows_of(const edgecompile_conv_geometry* g, const int8_t* image, int32_t oy) {
  const int32_t top = oy * g->stride_y - g->pad_top, row = g->input_width * g->input_channels;
  const int32_t above = top < 0 ? (-top + g->dilation_y - 1) / g->dilation_y : 0;
  const int32_t below = (g->input_height - top + g->dilation_y - 1) / g->dilation_y;
  const int32_t end = max_int(min_int(below, g->kernel_height), 0);
  return (window_rows){image + top * row, g->dilation_y * row, min_int(above, end), end};
}

/* Columns from `left` on; `zeros` are 16 bytes of the input's zero point. */
static void put_columns(const edgecompile_conv_geometry* g, const strip_layout* s, window_rows rows, int8_t* strip,
                        int32_t left, int32_t columns, const int8_t* zeros) {
  const int32_t before = min_int(max_int(-left, 0), columns);
  const int32_t inside = max_int(min_int(g->input_width - left, columns) - before, 0);
  const int32_t after = columns - before - inside, pitch = s->kx_bytes, bytes = s->channels;
  for (int32_t ky = 0; ky < g->kernel_height; ++ky, strip += s->ky_bytes) {
    if (ky < rows.first || ky >= rows.end) {
      copy_runs(strip, pitch, zeros, 0, columns, bytes, 0);
      continue;
    }
    copy_runs(strip, pitch, zeros, 0, before, bytes, 0);
    copy_runs(strip + before * pitch, pitch, rows.image + ky * rows.pitch + (left + before) * g->input_channels,
              g->input_channels, inside, bytes, LANES);
    copy_runs(strip + (before + inside) * pitch, pitch, zeros, 0, after, bytes, 0);
  }
}

/* One window, its first column at `left`, with any part of it outside of the image. */
static void put_window(const edgecompile_conv_geometry* g, const strip_layout* s, window_rows rows, int8_t* strip,
                       int32_t left) {
  /* A row of the window is one run where the columns of a row follow each other in both places. */
  const int32_t run = g->dilation_x == 1 && s->kx_bytes == s->channels ? g->kernel_width : 1;
  fill(strip, g->x_zero, s->depth);
  for (int32_t kx = 0; kx < g->kernel_width; kx += run) {
    const int32_t ix = left + kx * g->dilation_x;
    const int32_t first = max_int(-ix, 0), end = min_int(g->input_width - ix, run);
    if (first >= end) continue;
    copy_runs(strip + (kx + first) * s->kx_bytes + rows.first * s->ky_bytes, s->ky_bytes,
              rows.image + rows.first * rows.pitch + (ix + first) * g->input_channels, rows.pitch,
              rows.end - rows.first, (end - first) * s->channels, LANES);
  }
}

/* Windows with all of their columns in the image, each row of a window in one run of up to 16 bytes. */
static void put_inner_windows(const edgecompile_conv_geometry* g, const strip_layout* s, window_rows rows,
                              int8_t* strip, int32_t left, int32_t pixels, const int8_t* zeros) {
  const int32_t step = g->stride_x * g->input_channels;
  const int8_t* from = rows.image + left * g->input_channels;
  for (int32_t ky = 0; ky < g->kernel_height; ++ky, strip += s->ky_bytes, from += rows.pitch) {
    const int inside = ky >= rows.first && ky < rows.end;
    copy_short(strip, s->pixel_bytes, inside ? from : zeros, inside ? step : 0, pixels, s->ky_bytes);
  }
}

static void put_windows(const edgecompile_conv_geometry* g, const strip_layout* s, window_rows rows, int8_t* strip,
                        int32_t left, int32_t pixels, const int8_t* zeros) {
  const int32_t step = g->stride_x, last = g->input_width - g->kernel_width - left;
  const int joined = g->dilation_x == 1 && s->kx_bytes == s->channels && s->ky_bytes <= LANES;
  const int32_t first = joined ? min_int(left < 0 ? (-left + step - 1) / step : 0, pixels) : pixels;
  const int32_t end = joined && last >= 0 ? max_int(min_int(last / step + 1, pixels), first) : first;
  for (int32_t i = 0; i < pixels; ++i) {
    if (i == first) i = end;
    if (i < pixels) put_window(g, s, rows, strip + i * s->pixel_bytes, left + i * step);
  }
  put_inner_windows(g, s, rows, strip + first * s->pixel_bytes, left + first * step, end - first, zeros);
}

/* One output row of one group. The workspace starts with 16 bytes of the zero point. */
static void convolve_row(const edgecompile_conv_geometry* g, const strip_layout* s, window_rows rows,
                         product_job* job, int8_t* workspace) {
  int8_t* const strip = workspace + LANES;
  for (int32_t ox = 0; ox < g->output_width; ox += s->pixels) {
    const int32_t pixels = min_int(s->pixels, g->output_width - ox), left = ox * g->stride_x - g->pad_left;
    if (s->columns) {
      put_columns(g, s, rows, strip, left, (pixels - 1) * g->stride_x + g->kernel_width, workspace);
    } else {
      put_windows(g, s, rows, strip, left, pixels, workspace);
    }
    edgecompile_mve_multiply(job, strip, s->pixel_bytes, pixels);
  }
}

/* One image and one group of a 1 x 1 window without padding. */
static void convolve_points(const edgecompile_conv_geometry* g, const int8_t* x, const int8_t* x_end,
                            product_job* job, int8_t* workspace) {
  const int32_t row = g->input_width * g->input_channels, pitch = g->stride_x * g->input_channels;
  const int whole = g->stride_x == 1 && g->stride_y == 1 && g->output_width == g->input_width;
  const int32_t rows = whole ? 1 : g->output_height;
  const int32_t pixels = whole ? g->output_height * g->output_width : g->output_width;
  for (int32_t i = 0; i < rows; ++i) {
    edgecompile_mve_multiply_in_place(job, x + i * g->stride_y * row, pitch, pixels, x_end, workspace);
  }
}

static int reads_in_place(const edgecompile_conv_geometry* g) {
  return g->kernel_height == 1 && g->kernel_width == 1 && g->pad_top == 0 && g->pad_left == 0 &&
         (g->output_height - 1) * g->stride_y < g->input_height &&
         (g->output_width - 1) * g->stride_x < g->input_width;
}

SHARED int32_t edgecompile_conv_s8(const int8_t* x, const int8_t* w, const int32_t* q,
                                   const edgecompile_conv_geometry* g, int8_t* y, void* workspace) {
  const strip_layout s = layout_of(g);
  const int32_t columns = g->output_channels / g->groups, quads = round_up(columns, QUAD);
  const int32_t image = g->input_height * g->input_width * g->input_channels;
  const int8_t* const x_end = x + g->batch * image;
  const int in_place = reads_in_place(g);
  if (!in_place) fill(workspace, g->x_zero, LANES);
  for (int32_t b = 0; b < g->batch; ++b, x += image) {
    for (int32_t group = 0; group < g->groups; ++group) {
      const int8_t* const from = x + group * s.channels;
      int8_t* const to = y + b * g->output_height * g->output_width * g->output_channels + group * columns;
      product_job job =
          edgecompile_mve_products(w + group * quads * round_up(s.depth, LANES), q + group * quads * 4, to, s.depth,
                                   columns, g->output_channels, &g->output);
      if (in_place) {
        convolve_points(g, from, x_end, &job, workspace);
        continue;
      }
      for (int32_t oy = 0; oy < g->output_height; ++oy) {
        convolve_row(g, &s, rows_of(g, from, oy), &job, workspace);
      }
    }
  }
  return 0;
}
