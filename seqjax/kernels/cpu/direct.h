// Products of few rows with weights as they lie in memory, for sequences so short that packing would take longer than the products.
//
// A block of rows of the weights passes by once, each of them from end to end, and is added to the sums of all columns. The terms
// of a sum come in the order of k, so it has the same bits as that of a tile.

// sums[c] += sum over d < D of x[d] * w[d * stride + c], for the n columns of a vector; W is float, or int8_t.
template <int D, class W, class N>
static inline __attribute__((always_inline)) void add_terms(float* sums, const vec (&x)[D], const W* w, int64_t stride, N n) {
  vec sum = load(sums, n);
#pragma GCC unroll 8
  for (int d = 0; d < D; ++d) sum += x[d] * load(w + d * stride, n);
  store(sums, sum, n);
}

template <int D, class W>
static inline void add_rows(float* sums, const float* x, const W* w, int64_t stride, int64_t columns) {
  vec factor[D];
#pragma GCC unroll 8
  for (int d = 0; d < D; ++d) factor[d] = x[d] - vec{};
  int64_t c = 0;
  for (; c + LANES <= columns; c += LANES) add_terms<D>(sums + c, factor, w + c, stride, Whole{});
  if (c < columns) add_terms<D>(sums + c, factor, w + c, stride, columns - c);
}

// Some columns of a product that stand side by side in the weights [size, stride], and where their sums go.
template <class W>
struct Block {
  const W* w;
  int64_t place;  // in the sums of a row
};

// The sums of `count` rows, at sums(row), of the terms from k = begin to end; x(row) is null for a row that is left out. All blocks
// have as many columns.
template <class W, class Sums, class X>
static void add_product(const Sums& sums, const X& x, int64_t count, int64_t begin, int64_t end, const Block<W>* blocks,
                        int64_t n_blocks, int64_t stride, int64_t columns) {
  constexpr int kDepth = 8;
  for (int64_t k = begin; k < end;) {
    const bool whole = end - k >= kDepth;
    for (int64_t i = 0; i < n_blocks; ++i)
      for (int64_t row = 0; row < count; ++row) {
        if (!x(row)) continue;
        float* to = sums(row) + blocks[i].place;
        const W* w = blocks[i].w + k * stride;
        if (whole) add_rows<kDepth>(to, x(row) + k, w, stride, columns);
        else add_rows<1>(to, x(row) + k, w, stride, columns);
      }
    k += whole ? kDepth : 1;
  }
}
