// Weights packed in the order in which they are read, and products of rows with them.
//
// A panel holds V vectors side by side for each k, and stays in the second-level cache while all rows are multiplied with it. A
// tile of up to ROWS rows times one panel stays in registers while k runs from end to end.

template <int N>
struct Count {
  static constexpr int value = N;
};

// Calls call(Count<n>) for n = count, a number from 1 to N.
template <int N = ROWS, class Call>
static inline void with_count(int64_t count, const Call& call) {
  if (count == N) return call(Count<N>{});
  if constexpr (N > 1) with_count<N - 1>(count, call);
}

// Calls call(first, Count<n>) for tiles of at most ROWS rows, as even as can be.
template <class Call>
static inline void for_tiles(int64_t rows, const Call& call) {
  int64_t tiles = (rows + ROWS - 1) / ROWS;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    int64_t first = rows * tile / tiles;
    with_count(rows * (tile + 1) / tiles - first, [&](auto count) { call(first, count); });
  }
}

// x(r, k) of R rows that lie anywhere.
template <int R>
struct Rows {
  const float* begin[R];

  template <class Begin>
  inline __attribute__((always_inline)) explicit Rows(const Begin& row) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) begin[r] = row(r);
  }
  float operator()(int r, int64_t k) const { return begin[r][k]; }
};

// All rows of a tile begin with the same sums.
template <int R, int S>
static inline __attribute__((always_inline)) void fill_tile(vec (&acc)[R][S], const float* from) {
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s) {
    vec first = from ? load(from + s * LANES) : vec{};
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[r][s] = first;
  }
}

// acc[r][v] += sum over k of x(r, k) * panel[k][v]; the last of the V vectors is summed in acc[r][LAST].
template <int V, int LAST = V - 1, int R, int S, class X>
static inline __attribute__((always_inline)) void accumulate(vec (&acc)[R][S], const X& x, int64_t size,
                                                             const float* panel) {
  for (int64_t k = 0; k < size; ++k, panel += V * LANES) {
    vec factor[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) factor[r] = x(r, k) - vec{};
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      vec w = load(panel + v * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[r][v == V - 1 ? LAST : v] += factor[r] * w;
    }
  }
}

template <int R, int S>
static inline __attribute__((always_inline)) void load_tile(vec (&acc)[R][S], const float* from) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) acc[r][s] = load(from + (r * S + s) * LANES);
}

template <int R, int S>
static inline __attribute__((always_inline)) void store_tile(float* to, const vec (&acc)[R][S]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) store(to + (r * S + s) * LANES, acc[r][s]);
}

// The rounding of a sum grows with the number of its terms, so a longer one is made of sums of so many each.
constexpr int64_t kTerms = 512;

// The same of a tile of R x S vectors in memory, for sums of any length. Not inline, for those in registers would suffer.
template <int R, int S, int V, int LAST = V - 1, class X>
static __attribute__((noinline)) void accumulate_parts(float* tile, const X& x, int64_t size, const float* panel) {
  for (int64_t begin = 0; begin < size; begin += kTerms) {
    vec part[R][S];
    fill_tile(part, nullptr);
    accumulate<V, LAST>(part, [&](int r, int64_t k) { return x(r, begin + k); },
                        size - begin < kTerms ? size - begin : kTerms, panel + begin * V * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) {
        float* to = tile + (r * S + s) * LANES;
        store(to, load(to) + part[r][s]);
      }
  }
}

// Asks for V vectors that will be read or written when the product at hand is done.
template <int V>
static inline void fetch(const float* from) {
  for (int v = 0; v < V; ++v) __builtin_prefetch(from + v * LANES);
}

// Elements that begin on a cache line, not initialised; false where there was no memory for them.
template <class T>
class Array {
 public:
  explicit Array(int64_t size)
      : data_(static_cast<char*>(__builtin_malloc(size * sizeof(T) + 64))),
        begin_(reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(data_) + 63) & ~uintptr_t{63})) {}
  ~Array() { __builtin_free(data_); }
  Array(const Array&) = delete;
  T* operator+(int64_t offset) const { return begin_ + offset; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  char* data_;
  T* begin_;
};

// A panel of V vectors for each of `size` k; `row(k, v)` points to the n(v) first floats of a vector, the others are zero.
template <int V, class From, class Size>
static void pack(float* panel, int64_t size, const From& from, const Size& n) {
  for (int64_t k = 0; k < size; ++k)
    for (int v = 0; v < V; ++v, panel += LANES) store(panel, load(from(k, v), n(v)));
}

// The same of a transposed matrix: `from(column)` points to `size` floats of a column of the panel, of which there are `columns`.
template <int V, class From>
static void pack_turned(float* panel, int64_t size, int64_t columns, const From& from) {
  constexpr int64_t kWidth = V * LANES, kDepth = 16;
  for (int64_t k = 0; k < size; k += kDepth)
    for (int64_t column = 0; column < kWidth; ++column) {
      const float* w = column < columns ? from(column) : nullptr;
      if (w) __builtin_prefetch(w + k + kDepth);
      for (int64_t i = k; i < size && i < k + kDepth; ++i) panel[i * kWidth + column] = w ? w[i] : 0.0f;
    }
}
