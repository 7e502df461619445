//@ matrix_float32
/* A matrix in blocks of MODEL_BLOCK columns, each [inputs][MODEL_BLOCK], the last one filled up
   with zeros: it is read in the order in which it is stored. */
typedef struct {
  const float *values;
  int inputs, outputs;
} model_matrix;

/* sums += x W. The sums of a block stay in registers, and no order of sums is asked for but that
   of rows: so a compiler turns the inner loop into vector instructions. */
static inline void model_product(const float *restrict x, const model_matrix *w,
                                 float *restrict sums) {
  const float *restrict row = w->values;
  for (int first = 0; first < w->outputs; first += MODEL_BLOCK) {
    const int width = w->outputs - first < MODEL_BLOCK ? w->outputs - first : MODEL_BLOCK;
    float block[MODEL_BLOCK] = {0};
    for (int i = 0; i < w->inputs; i++, row += MODEL_BLOCK)
      for (int j = 0; j < MODEL_BLOCK; j++) block[j] += x[i] * row[j];
    for (int j = 0; j < width; j++) sums[first + j] += block[j];
  }
}
//@ matrix_int8
/* A matrix of whole numbers of 8 bits with a scale for each column: the numbers of a column stand
   side by side, and columns of zeros fill up to a multiple of four. */
typedef struct {
  const signed char *values;
  const float *scale;
  int inputs, outputs;
} model_matrix;

/* Rounds x to whole numbers of 16 bits, the largest as large as 32 bits for a sum of products with
   numbers of 8 bits allow (2^31 / 127). Returns their unit: nan or infinity where x has one. */
static inline float model_whole(const float *restrict x, int size, short *restrict whole) {
  const int most = 16909320 / size < 32767 ? 16909320 / size : 32767;
  /* Of positive floats the bits are in the order of the numbers: a maximum that is a whole number
     becomes vector instructions. */
  union { float number; int bits; } largest = {0.0f};
  for (int i = 0; i < size; i++) {
    union { float number; int bits; } at = {x[i]};
    at.bits &= 0x7fffffff;
    largest.bits = at.bits > largest.bits ? at.bits : largest.bits;
  }
  const float factor = largest.bits ? (float)most / largest.number : 0.0f;
  for (int i = 0; i < size; i++) {
    float scaled = x[i] * factor;
    scaled = scaled < (float)most ? scaled : (float)most;
    scaled = scaled > (float)-most ? scaled : (float)-most;
    whole[i] = (short)((int)(scaled + 32768.5f) - 32768);
  }
  return largest.number / (float)most;
}

/* sums += x W. Sums are of whole numbers, so their order is free: a compiler turns the inner loop
   into vector instructions that multiply and add pairs. */
static inline void model_product(const float *restrict x, const model_matrix *w,
                                 float *restrict sums) {
  const int n = w->inputs;
  const signed char *restrict column = w->values;
  short whole[MODEL_WIDEST];
  const float unit = model_whole(x, n, whole);
  for (int first = 0; first < w->outputs; first += 4, column += 4 * n) {
    const int width = w->outputs - first < 4 ? w->outputs - first : 4;
    int a = 0, b = 0, c = 0, d = 0;
    for (int i = 0; i < n; i++) {
      a += whole[i] * (short)column[i];
      b += whole[i] * (short)column[n + i];
      c += whole[i] * (short)column[2 * n + i];
      d += whole[i] * (short)column[3 * n + i];
    }
    const int totals[4] = {a, b, c, d};
    for (int j = 0; j < width; j++)
      sums[first + j] += unit * w->scale[first + j] * (float)totals[j];
  }
}
//@ copy
static inline void model_copy(const float *restrict from, int size, float *restrict to) {
  for (int k = 0; k < size; k++) to[k] = from[k];
}
//@ sums
/* sums = x W_x + h W_h + b */
static inline void model_sums(const float *x, const model_matrix *w_x, const float *h,
                              const model_matrix *w_h, const float *b, float *sums) {
  model_copy(b, w_x->outputs, sums);
  model_product(x, w_x, sums);
  model_product(h, w_h, sums);
}
//@ tanh
/* A quotient of polynomials, right to a few units in the last place; compilers turn a loop over
   it into vector instructions, which they do not for tanhf. */
static inline float model_tanh(float x) {
  x = x < -7.9053111f ? -7.9053111f : x;
  x = x > 7.9053111f ? 7.9053111f : x;
  const float s = x * x;
  float p = -2.76076847742355e-16f * s + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  float q = 1.19825839466702e-06f * s + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return x * p / q;
}
//@ sigmoid
static inline float model_sigmoid(float x) { return 0.5f + 0.5f * model_tanh(0.5f * x); }
//@ elman_tanh
/* h' = tanh(x W_x + h W_h + b) */
static inline void model_elman(const float *x, const model_matrix *w_x, const model_matrix *w_h,
                               const float *b, float *restrict h, float *restrict sums) {
  const int n = w_h->outputs;
  model_sums(x, w_x, h, w_h, b, sums);
  for (int k = 0; k < n; k++) h[k] = model_tanh(sums[k]);
}
//@ elman_relu
/* h' = max(x W_x + h W_h + b, 0) */
static inline void model_elman_relu(const float *x, const model_matrix *w_x,
                                    const model_matrix *w_h, const float *b, float *restrict h,
                                    float *restrict sums) {
  const int n = w_h->outputs;
  model_sums(x, w_x, h, w_h, b, sums);
  for (int k = 0; k < n; k++) h[k] = sums[k] < 0.0f ? 0.0f : sums[k];
}
//@ lstm
/* Gates i, f, g, o; c' = f c + i g; h' = o tanh(c'). */
static inline void model_lstm(const float *x, const model_matrix *w_x, const model_matrix *w_h,
                              const float *b, float *restrict h, float *restrict c,
                              float *restrict sums) {
  const int n = w_h->inputs;
  model_sums(x, w_x, h, w_h, b, sums);
  for (int k = 0; k < n; k++) {
    const float i = model_sigmoid(sums[k]), f = model_sigmoid(sums[n + k]);
    const float g = model_tanh(sums[2 * n + k]), o = model_sigmoid(sums[3 * n + k]);
    c[k] = f * c[k] + i * g;
    h[k] = o * model_tanh(c[k]);
  }
}
//@ gru_after
/* Gates r, z, n; n = tanh(x W_xn + b_xn + r (h W_hn + b_n)); h' = (1 - z) n + z h. */
static inline void model_gru(const float *x, const model_matrix *w_x, const model_matrix *w_h,
                             const float *b, const float *b_n, float *restrict h,
                             float *restrict sums) {
  const int n = w_h->inputs;
  float *restrict from_h = sums + 3 * n;
  model_copy(b, 3 * n, sums);
  model_product(x, w_x, sums);
  for (int k = 0; k < 2 * n; k++) from_h[k] = 0.0f;
  model_copy(b_n, n, from_h + 2 * n);
  model_product(h, w_h, from_h);
  for (int k = 0; k < n; k++) {
    const float r = model_sigmoid(sums[k] + from_h[k]);
    const float z = model_sigmoid(sums[n + k] + from_h[n + k]);
    const float candidate = model_tanh(sums[2 * n + k] + r * from_h[2 * n + k]);
    h[k] = (1.0f - z) * candidate + z * h[k];
  }
}
//@ gru_before
/* Gates r, z, n; n = tanh(x W_xn + (r h) W_hn + b); h' = (1 - z) n + z h. */
static inline void model_gru_before(const float *x, const model_matrix *w_x,
                                    const model_matrix *w_h, const model_matrix *w_n,
                                    const float *b, float *restrict h, float *restrict sums) {
  const int n = w_h->inputs;
  float *restrict kept = sums + 3 * n;
  model_sums(x, w_x, h, w_h, b, sums);
  for (int k = 0; k < n; k++) kept[k] = model_sigmoid(sums[k]) * h[k];
  model_product(kept, w_n, sums + 2 * n);
  for (int k = 0; k < n; k++) {
    const float z = model_sigmoid(sums[n + k]);
    h[k] = (1.0f - z) * model_tanh(sums[2 * n + k]) + z * h[k];
  }
}
//@ mix
/* state = rate old + (1 - rate) state: units that kept their value in training, on average. */
static inline void model_mix(const float *restrict old, float rate, int size,
                             float *restrict state) {
  for (int k = 0; k < size; k++) state[k] = rate * old[k] + (1.0f - rate) * state[k];
}
//@ add
static inline void model_add(const float *restrict a, const float *restrict b, int size,
                             float *restrict sum) {
  for (int k = 0; k < size; k++) sum[k] = a[k] + b[k];
}
//@ dense
/* y = x W + b */
static inline void model_dense(const float *x, const model_matrix *w, const float *b, float *y) {
  model_copy(b, w->outputs, y);
  model_product(x, w, y);
}
//@ row_float32
/* The features of a token: column `token` of the transposed embedding. */
static inline void model_row(const model_matrix *w, int token, float *x) {
  const float *column = w->values + (token / MODEL_BLOCK) * w->inputs * MODEL_BLOCK;
  for (int i = 0; i < w->inputs; i++) x[i] = column[i * MODEL_BLOCK + token % MODEL_BLOCK];
}
//@ row_int8
/* The features of a token: column `token` of the transposed embedding. */
static inline void model_row(const model_matrix *w, int token, float *x) {
  const signed char *column = w->values + token * w->inputs;
  for (int i = 0; i < w->inputs; i++) x[i] = column[i];
}
//@ scale
static inline void model_scale(const float *restrict scale, int size, float *restrict x) {
  for (int k = 0; k < size; k++) x[k] *= scale[k];
}
//@ sample
#ifndef MODEL_NO_SAMPLE
#include <math.h>

/* Draws a token. A temperature of 0 takes the likeliest; uniform is a random number, 0 <= u < 1. */
static inline int model_sample(const float *logits, float temperature, float uniform) {
  int best = 0;
  float total = 0.0f;
  for (int k = 1; k < MODEL_OUTPUTS; k++) best = logits[k] > logits[best] ? k : best;
  if (temperature <= 0.0f) return best;
  for (int k = 0; k < MODEL_OUTPUTS; k++) total += expf((logits[k] - logits[best]) / temperature);
  uniform *= total;
  for (int k = 0; k < MODEL_OUTPUTS; k++) {
    uniform -= expf((logits[k] - logits[best]) / temperature);
    if (uniform < 0.0f) return k;
  }
  return best;
}
#endif
