/* Kernels of the network that is written by hand: float, double and integer arithmetic, libm and memcpy. */
#include <math.h>
#include <stdint.h>
#include <string.h>

static const float weights[12] = {0.5f,  -1.0f, 0.25f, 2.0f, -0.125f, 1.5f,
                                  0.75f, -0.5f, 1.0f,  0.0f, -2.0f,   0.1f};

int32_t fakenet_scale(const float* x, float* scaled) {
  memcpy(scaled, x, 12 * sizeof(float));
  for (int i = 0; i < 12; ++i) scaled[i] *= weights[i];
  return 0;
}

int32_t fakenet_exp(const float* scaled, float* y) {
  double sum = 0.0;
  for (int i = 0; i < 12; ++i) sum += (double)scaled[i];
  for (int i = 0; i < 12; ++i) y[i] = expf(scaled[i]) + (float)(sum / 12.0);
  return 0;
}

int32_t fakenet_sum(const int32_t* words, int32_t* total) {
  *total = words[0] + words[1] + words[2];
  return 0;
}
