// Vectors of LANES floats, and the functions of the gates on them.
//
// exp is 2^n 2^f with n rounded by the addition of a large constant, and 2^f - 1 a polynomial of degree 6 with no constant
// term, so that tanh by way of expm1 is exact to rounding near zero too.

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t bits __attribute__((vector_size(LANES * sizeof(float))));

static inline vec load(const float* from) {
  vec v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

static inline void store(float* to, vec v) { __builtin_memcpy(to, &v, sizeof v); }

// The first n floats; the rest are zero.
static inline vec load(const float* from, int64_t n) {
  if (n >= LANES) return load(from);
  vec v = {};
  for (int64_t i = 0; i < n; ++i) v[i] = from[i];
  return v;
}

static inline void store(float* to, vec v, int64_t n) {
  if (n >= LANES) return store(to, v);
  for (int64_t i = 0; i < n; ++i) to[i] = v[i];
}

// Whole numbers of eight bits, of which the CPU makes floats on the way.
static inline vec load(const int8_t* from) {
#if defined(__AVX512F__)
  return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)from)));
#elif defined(__AVX2__)
  return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from)));
#else
  vec v;
  for (int i = 0; i < LANES; ++i) v[i] = from[i];
  return v;
#endif
}

static inline vec load(const int8_t* from, int64_t n) {
  if (n >= LANES) return load(from);
  int8_t some[LANES] = {};
  for (int64_t i = 0; i < n; ++i) some[i] = from[i];
  return load(some);
}

// The same of a vector that is known to be whole.
struct Whole {};

static inline vec load(const int8_t* from, Whole) { return load(from); }

static inline vec load(const float* from, Whole) { return load(from); }

static inline void store(float* to, vec v, Whole) { store(to, v); }

// numerator / x for x >= 1, as exact as a division, by which a gate at its end is just 1: where there is an estimate of 1 / x,
// by a Newton step on it and another one on the quotient.
static inline vec divide(vec numerator, vec x) {
#if defined(__AVX512F__)
  __m512 d = (__m512)x, n = (__m512)numerator, y = _mm512_maskz_rcp14_ps(0xffff, d);
  y = _mm512_fmadd_ps(y, _mm512_fnmadd_ps(d, y, _mm512_set1_ps(1.0f)), y);
  __m512 q = _mm512_mul_ps(n, y);
  return (vec)_mm512_fmadd_ps(y, _mm512_fnmadd_ps(d, q, n), q);
#elif defined(__AVX2__)
  __m256 d = (__m256)x, n = (__m256)numerator, y = _mm256_rcp_ps(d);
  y = _mm256_fmadd_ps(y, _mm256_fnmadd_ps(d, y, _mm256_set1_ps(1.0f)), y);
  __m256 q = _mm256_mul_ps(n, y);
  return (vec)_mm256_fmadd_ps(y, _mm256_fnmadd_ps(d, q, n), q);
#else
  return numerator / x;
#endif
}

static inline vec clamp(vec x, float least, float most) {
  vec low = least - vec{}, high = most - vec{};  // between which a NaN stays one
#if defined(__AVX512F__)
  return (vec)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)x));
#else
  x = x < low ? low : x;
  return x > high ? high : x;
#endif
}

struct Exponential {
  vec scale, rest;  // e^x = scale + scale * rest
};

static inline Exponential exponential(vec x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  vec shifted = x * 1.44269504f + kRound;
  vec f = x * 1.44269504f - (shifted - kRound);
  vec q = 0.00015403512f * f + 0.0013390849f;
  q = q * f + 0.0096182376f;
  q = q * f + 0.055503573f;
  q = q * f + 0.24022649f;
  q = q * f + 0.69314718f;
  bits exponent = ((bits)shifted + (127u - 0x4b400000u)) << 23;
  return {(vec)exponent, q * f};
}

#if defined(SET)

// Just 1 far above zero, and just 0 far below.
static inline __attribute__((always_inline)) vec sigmoid(vec x) {
  Exponential e = exponential(clamp(-x, -87.0f, 87.0f));
  vec y = divide(1.0f - vec{}, 1.0f + e.scale + e.scale * e.rest);
  return x < -87.0f ? vec{} : y;
}

// Just 1 or -1 far from zero.
static inline __attribute__((always_inline)) vec tanh(vec x) {
  Exponential e = exponential(clamp(x + x, -20.0f, 20.0f));
  vec m = (e.scale - 1.0f) + e.scale * e.rest;  // e^2x - 1
  return divide(m, m + 2.0f);
}

#else

// Where products are rounded to bfloat16, an error of 2e-7 in a gate is nothing, and half the instructions are.
static inline __attribute__((always_inline)) vec brief_sigmoid(vec x, float scale) {
  __m512 t = (__m512)clamp(x * scale, -64.0f, 64.0f), n = _mm512_roundscale_ps(t, 0);
  vec f = (vec)_mm512_sub_ps(t, n);
  vec p = 0.00132647f * f + 0.00967151f;
  p = p * f + 0.05550734f;
  p = p * f + 0.24022242f;
  p = p * f + 0.69314698f;
  p = p * f + 1.0f;
  __m512 d = _mm512_add_ps(_mm512_scalef_ps((__m512)p, n), _mm512_set1_ps(1.0f)), y = _mm512_maskz_rcp14_ps(0xffff, d);
  return (vec)_mm512_fmadd_ps(y, _mm512_fnmadd_ps(d, y, _mm512_set1_ps(1.0f)), y);
}

static inline __attribute__((always_inline)) vec sigmoid(vec x) { return brief_sigmoid(x, -1.44269504f); }

static inline __attribute__((always_inline)) vec tanh(vec x) { return 2.0f * brief_sigmoid(x, -2.88539008f) - 1.0f; }

#endif
