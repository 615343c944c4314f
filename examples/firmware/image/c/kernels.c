/* Six kernels in the form of CMSIS-DSP (four elements a turn, one accumulator), for comparison; or that library's own. */

#include <math.h>
#include <stdint.h>

#ifdef CMSIS_DSP

#include "Source/BasicMathFunctions/arm_add_f32.c"
#include "Source/BasicMathFunctions/arm_dot_prod_f32.c"
#include "Source/BasicMathFunctions/arm_scale_f32.c"
#include "Source/StatisticsFunctions/arm_mean_f32.c"
#include "Source/StatisticsFunctions/arm_power_f32.c"

#else

/* `body` for each of n elements. */
#define EACH(n, body) \
  for (uint32_t turns = (n) >> 2; turns > 0; turns--) { body; body; body; body; } \
  for (uint32_t turns = (n) & 3; turns > 0; turns--) { body; }

void arm_dot_prod_f32(const float *x, const float *y, uint32_t n, float *result) {
  float sum = 0.0f;
  EACH(n, sum += *x++ * *y++)
  *result = sum;
}

void arm_scale_f32(const float *x, float scale, float *out, uint32_t n) {
  EACH(n, *out++ = *x++ * scale)
}

void arm_add_f32(const float *x, const float *y, float *out, uint32_t n) {
  EACH(n, *out++ = *x++ + *y++)
}

void arm_mean_f32(const float *x, uint32_t n, float *result) {
  float sum = 0.0f;
  EACH(n, sum += *x++)
  *result = sum / (float)n;
}

void arm_power_f32(const float *x, uint32_t n, float *result) {
  float sum = 0.0f;
  float in;
  EACH(n, (in = *x++, sum += in * in))
  *result = sum;
}

#endif

/* CMSIS-DSP has the square root of one number, inlined; this is the loop around it. */
void roots_f32(const float *x, float *out, uint32_t n) {
  for (; n > 0; n--) {
    float in = *x++;
    *out++ = in >= 0.0f ? sqrtf(in) : 0.0f;
  }
}
