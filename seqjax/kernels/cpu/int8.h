// Products of few rows with weights in int8, four terms of 16 columns by one instruction.
//
// A row becomes whole numbers of 15 bits, 128 * high + low, of which its largest is the largest; so a product errs by 3e-5 of
// that. The instruction multiplies bytes without a sign with bytes that have one: the weights take 128 more, and from a sum goes
// 128 times that of the row.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

struct WholeRow {
  static constexpr int kFour = 4, kLargest = 127 * 128;
  static constexpr float kLeast = 1e-30f;  // a row of less is zero

  // The bytes of up to `size` numbers and of three more.
  static int64_t bytes(int64_t size) { return 2 * stride(size); }

  WholeRow(int8_t* bytes, const float* x, int64_t size) : high_(bytes), low_(bytes + stride(size)) {
    __m512 most = _mm512_setzero_ps(), none = most;
    for (int64_t k = 0; k < size; k += LANES) {
      __m512 some = (__m512)load(x + k, size - k);
      most = _mm512_max_ps(_mm512_abs_ps(some), most);
      none = _mm512_fmadd_ps(some, _mm512_setzero_ps(), none);  // NaN where one is not finite
    }
    const float largest = _mm512_reduce_max_ps(most), nothing = _mm512_reduce_add_ps(none);
    const float times = largest > kLeast && nothing == 0.0f ? kLargest / largest : 0.0f;
    scale = largest / kLargest + nothing;
    __m512i highs = _mm512_setzero_si512(), lows = highs;
    for (int64_t k = 0; k < size; k += LANES) {
      __m512i q = _mm512_cvtps_epi32((__m512)(times > 0.0f ? load(x + k, size - k) * times : vec{}));
      __m512i high = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(64)), 7);
      __m512i low = _mm512_sub_epi32(q, _mm512_slli_epi32(high, 7));
      highs = _mm512_add_epi32(highs, high), lows = _mm512_add_epi32(lows, low);
      _mm_storeu_si128((__m128i*)(high_ + k), _mm512_cvtepi32_epi8(high));
      _mm_storeu_si128((__m128i*)(low_ + k), _mm512_cvtepi32_epi8(low));
    }
    too_high = _mm512_set1_epi32(128 * _mm512_reduce_add_epi32(highs));
    too_low = _mm512_set1_epi32(128 * _mm512_reduce_add_epi32(lows));
  }

  __m512i high(int64_t k) const { return four(high_ + k); }
  __m512i low(int64_t k) const { return four(low_ + k); }

  // The products, of what was summed of both parts.
  __m512 product(__m512i of_high, __m512i of_low) const {
    __m512 high = _mm512_cvtepi32_ps(_mm512_sub_epi32(of_high, too_high));
    __m512 low = _mm512_cvtepi32_ps(_mm512_sub_epi32(of_low, too_low));
    return _mm512_mul_ps(_mm512_fmadd_ps(high, _mm512_set1_ps(128.0f), low), _mm512_set1_ps(scale));
  }

 private:
  static int64_t stride(int64_t size) { return (size + LANES - 1) / LANES * LANES; }
  static __m512i four(const int8_t* from) {
    int32_t bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    return _mm512_set1_epi32(bytes);
  }

  int8_t *high_, *low_;
  __m512i too_high, too_low;
  float scale;
};

// sums[c] += scale[c] * sum over k < size of x[k] * w[k * stride + c], for up to 64 columns.
static inline void add_whole_block(float* sums, const WholeRow& x, int64_t size, const int8_t* w, int64_t stride,
                                   const float* scale, int64_t columns) {
  const __mmask64 wanted = columns < 64 ? (uint64_t{1} << columns) - 1 : ~uint64_t{0};
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i high[4] = {}, low[4] = {};
  for (int64_t k = 0; k < size; k += WholeRow::kFour) {
    __m512i row[4];  // behind the last one that one again, times zero
    for (int i = 0; i < 4; ++i)
      row[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(wanted, w + (k + i < size ? k + i : size - 1) * stride), sign);
    __m512i first = _mm512_unpacklo_epi8(row[0], row[1]), second = _mm512_unpackhi_epi8(row[0], row[1]);
    __m512i third = _mm512_unpacklo_epi8(row[2], row[3]), fourth = _mm512_unpackhi_epi8(row[2], row[3]);
    // Of each 16 columns those from 0, 4, 8, 12.
    const __m512i terms[4] = {_mm512_unpacklo_epi16(first, third), _mm512_unpackhi_epi16(first, third),
                              _mm512_unpacklo_epi16(second, fourth), _mm512_unpackhi_epi16(second, fourth)};
    const __m512i x_high = x.high(k), x_low = x.low(k);
    for (int i = 0; i < 4; ++i) {
      high[i] = _mm512_dpbusd_epi32(high[i], terms[i], x_high);
      low[i] = _mm512_dpbusd_epi32(low[i], terms[i], x_low);
    }
  }
  __m512 found[4];
  for (int i = 0; i < 4; ++i) found[i] = x.product(high[i], low[i]);
  // Four blocks of four columns by four vectors, in the order of the columns.
  __m512 front = _mm512_shuffle_f32x4(found[0], found[1], 0x44), more_front = _mm512_shuffle_f32x4(found[2], found[3], 0x44);
  __m512 back = _mm512_shuffle_f32x4(found[0], found[1], 0xee), more_back = _mm512_shuffle_f32x4(found[2], found[3], 0xee);
  const vec ordered[4] = {
      (vec)_mm512_shuffle_f32x4(front, more_front, 0x88), (vec)_mm512_shuffle_f32x4(front, more_front, 0xdd),
      (vec)_mm512_shuffle_f32x4(back, more_back, 0x88), (vec)_mm512_shuffle_f32x4(back, more_back, 0xdd)};
  for (int i = 0; i < 4 && i * LANES < columns; ++i) {
    const int64_t at = i * LANES, n = columns - at;
    store(sums + at, load(sums + at, n) + load(scale + at, n) * ordered[i], n);
  }
}
#endif
