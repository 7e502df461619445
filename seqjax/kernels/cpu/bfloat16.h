// Products of bfloat16 numbers, summed in float32: what is multiplied is rounded, nothing else.
//
// Both sides hold pairs of neighbouring k: a row of the left side as they come, a panel the pairs of V times LANES columns side
// by side. Columns of a panel and rows are filled up with zeros to whole tiles of AMX, which multiplies 16 rows with 16 columns
// over 32 k by one instruction. AVX-512 has an instruction for a vector of pairs; elsewhere it is two products, for tests.

static inline uint16_t rounded(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;  // a NaN stays one
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// 2 * LANES numbers: of the two vectors one after the other, or in pairs.
static inline void store_rounded(uint16_t* to, vec low, vec high) {
#if defined(__AVX512BF16__)
  _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
#else
  for (int i = 0; i < LANES; ++i) to[i] = rounded(low[i]), to[LANES + i] = rounded(high[i]);
#endif
}

static inline void store_pairs(uint16_t* to, vec even, vec odd) {
#if defined(__AVX512BF16__)
  // The same as store_rounded, each pair brought together by its bits: those of the odd one are the high ones.
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20,
                                         4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_store_si512(to, _mm512_permutexvar_epi16(order, both));
#else
  for (int i = 0; i < LANES; ++i) to[2 * i] = rounded(even[i]), to[2 * i + 1] = rounded(odd[i]);
#endif
}

// LANES rows of as many pairs become columns.
static inline void transpose(uint16_t (&pairs)[LANES][2 * LANES]) {
  bits rows[LANES];
  __builtin_memcpy(rows, pairs, sizeof rows);
#if defined(__AVX512F__)
  // Blocks beside the diagonal change places, from halves down to single pairs.
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 4
  for (int half = LANES / 2; half > 0; half /= 2) {
    const __mmask16 second = _mm512_test_epi32_mask(lane, _mm512_set1_epi32(half));
    const __m512i from = _mm512_set1_epi32(LANES), back = _mm512_set1_epi32(half);
    const __m512i of_first = _mm512_mask_add_epi32(lane, second, _mm512_sub_epi32(lane, back), from);
    const __m512i of_second = _mm512_mask_add_epi32(_mm512_add_epi32(lane, back), second, lane, from);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
      if (i & half) continue;
      __m512i a = (__m512i)rows[i], b = (__m512i)rows[i + half];
      rows[i] = (bits)_mm512_permutex2var_epi32(a, of_first, b);
      rows[i + half] = (bits)_mm512_permutex2var_epi32(a, of_second, b);
    }
  }
#else
  for (int i = 0; i < LANES; ++i)
    for (int k = 0; k < i; ++k) {
      uint32_t other = rows[i][k];
      rows[i][k] = rows[k][i], rows[k][i] = other;
    }
#endif
  __builtin_memcpy(pairs, rows, sizeof rows);
}

// What all products of bfloat16 share; members as of Float32.
struct RoundedSides {
  using Number = uint16_t;
  using Entry = uint16_t;
  static constexpr int64_t kDepth = 32, kChunk = 1024;

  static int64_t depth(int64_t size) { return (size + kDepth - 1) / kDepth * kDepth; }

  // One tile more than the numbers, for rows a power of two apart would share the few places of the cache.
  static int64_t stride(int64_t parts, int64_t size) { return parts * depth(size) + kDepth; }

  template <class Row>
  static void take(const Left<Entry>& to, int64_t rows, int64_t parts, int64_t size, const Row& row) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = row(r);
      uint16_t* next = to.begin + r * to.stride;
      for (int64_t part = 0; part < parts; ++part, from += size, next += depth(size)) round_row(next, from, size);
    }
  }

  static constexpr int64_t kTurnedStride = kChunk + kDepth;
  static Left<Entry> turned_rows(const Number* turned, int64_t row) {
    return {const_cast<Number*>(turned) + row * kTurnedStride, kTurnedStride};
  }
  static int64_t turned(int64_t width) { return depth(width) * kTurnedStride; }
  template <class Row>
  static void turn(uint16_t* to, int64_t width, int64_t size, const Row& row) {
    for (int64_t r = 0; r < depth(size); r += 2 * LANES)
      for (int64_t k = 0; k < width; k += LANES) {
        alignas(64) uint16_t pairs[LANES][2 * LANES];  // of two rows each
        auto some = [&](int64_t i) { return i < size ? load(row(i) + k, width - k) : vec{}; };
        for (int64_t i = 0; i < LANES; ++i) store_pairs(pairs[i], some(r + 2 * i), some(r + 2 * i + 1));
        transpose(pairs);
        for (int64_t i = 0; i < LANES && k + i < width; ++i)
          __builtin_memcpy(to + (k + i) * kTurnedStride + r, pairs[i], sizeof pairs[i]);
      }
  }

  template <int V, class From, class Size>
  static void pack(uint16_t* panel, int64_t size, const From& from, const Size& n) {
    for (int64_t k = 0; k < depth(size); k += 2) {
      // Rows far apart: the next ones are asked for.
      for (int64_t next = k + 16; next < k + 18 && next < size; ++next)
        for (int v = 0; v < V; ++v) __builtin_prefetch(from(next, v));
      for (int v = 0; v < V; ++v, panel += 2 * LANES)
        store_pairs(panel, k < size ? load(from(k, v), n(v)) : vec{}, k + 1 < size ? load(from(k + 1, v), n(v)) : vec{});
    }
  }

  template <int V, class From>
  static void pack_turned(uint16_t* panel, int64_t size, int64_t columns, const From& from) {
    constexpr int64_t kWidth = V * LANES;
    for (int64_t k = 0; k < depth(size); k += kDepth)
      for (int64_t column = 0; column < kWidth; ++column) {
        const float* w = column < columns ? from(column) : nullptr;
        for (int64_t i = k; i < k + kDepth; ++i)
          panel[(i / 2 * kWidth + column) * 2 + i % 2] = w && i < size ? rounded(w[i]) : 0;
      }
  }

 private:
  static void round_row(uint16_t* to, const float* from, int64_t size) {
    int64_t i = 0;
    for (; i + 2 * LANES <= size; i += 2 * LANES) store_rounded(to + i, load(from + i), load(from + i + LANES));
    for (; i < depth(size); ++i) to[i] = i < size ? rounded(from[i]) : 0;
  }
};

#if defined(__AMX_BF16__)
#include "amx.h"
#else

// LANES pairs of numbers.
struct Pairs {
#if defined(__AVX512BF16__)
  __m512i both;

  static Pairs of(const uint16_t* from) { return {_mm512_load_si512(from)}; }
  static Pairs all(const uint16_t* pair) {
    int bits;
    __builtin_memcpy(&bits, pair, sizeof bits);
    return {_mm512_set1_epi32(bits)};
  }
  vec times(Pairs factor, vec sum) const {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)both, (__m512bh)factor.both);
  }
#else
  bits both;

  static Pairs of(const uint16_t* from) {
    Pairs pairs;
    __builtin_memcpy(&pairs.both, from, sizeof pairs.both);
    return pairs;
  }
  static Pairs all(const uint16_t* pair) { return {(uint32_t{pair[1]} << 16 | pair[0]) - bits{}}; }
  vec times(Pairs factor, vec sum) const {
    return sum + (vec)(both << 16) * (vec)(factor.both << 16) + (vec)(both >> 16 << 16) * (vec)(factor.both >> 16 << 16);
  }
#endif
};

struct Bfloat16 : RoundedSides {
  static constexpr int64_t kRows = ROWS, kAhead = 4 * ROWS;
  struct Unit {
    ~Unit() {}
  };

  template <class Call>
  static void for_tiles(int64_t rows, const Call& call) {
    seqjax::for_tiles(rows, call);
  }

  template <int V, int LAST, int S, int R>
  static void add(float* tile, Count<R>, const Left<Entry>& left, int64_t size, const uint16_t* panel) {
    vec acc[R][S];
    load_tile(acc, tile);
    for (int64_t k = 0; k < size; k += 2, panel += 2 * V * LANES) {
      Pairs factor[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) factor[r] = Pairs::all(left.begin + r * left.stride + k);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        Pairs w = Pairs::of(panel + 2 * v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) acc[r][v == V - 1 ? LAST : v] = w.times(factor[r], acc[r][v == V - 1 ? LAST : v]);
      }
    }
    store_tile(tile, acc);
  }

  template <int V, int R>
  static void add_turned(float* tile, Count<R> rows, const Number* left, int64_t row, int64_t size, const Number* panel) {
    add<V, V - 1, V>(tile, rows, turned_rows(left, row), size, panel);
  }
};
#endif
