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

template <int R, int S>
static inline __attribute__((always_inline)) void clear_tile(vec (&acc)[R][S]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) acc[r][s] = vec{};
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

// All rows of a tile of S vectors begin with the same sums, or with zero.
template <int S>
static inline void begin_tile(float* tile, int64_t rows, const float* from) {
  for (int s = 0; s < S; ++s) {
    vec first = from ? load(from + s * LANES) : vec{};
    for (int64_t r = 0; r < rows; ++r) store(tile + (r * S + s) * LANES, first);
  }
}

// acc[r][v] += sum over k of x(r, k) * panel[k][v]; the last of the V vectors is summed in acc[r][LAST].
template <int V, int LAST, int R, int S, class X>
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

// The rounding of a sum grows with the number of its terms, so a longer one is made of sums of so many each.
constexpr int64_t kTerms = 512;

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

// The left side of a product: so many entries for each row.
template <class Entry>
struct Left {
  Entry* begin;
  int64_t stride;

  Left below(int64_t rows) const { return {begin + rows * stride, stride}; }
};

// Entries of a left side of up to so many rows; tiles of fewer rows may be read to their end.
template <class A>
static int64_t entries_of(int64_t rows, int64_t parts, int64_t size) {
  return (rows + A::kRows - 1) / A::kRows * A::kRows * A::stride(parts, size);
}

// Products in float32; `Bfloat16` has the same members.
//
// A tile of sums has at most kRows rows of S vectors. `add` adds to it the product of as many rows with a panel: V vectors for
// each of `size` k, of which the last goes to the vector LAST of a row.
struct Float32 {
  using Number = float;        // of a panel
  using Entry = const float*;  // of a left side: where a row begins
  static constexpr int64_t kRows = ROWS, kAhead = 4 * ROWS, kChunk = 512;

  // What a work item holds while it multiplies.
  struct Unit {
    ~Unit() {}
  };

  // Numbers of a panel's column for so many k.
  static int64_t depth(int64_t size) { return size; }

  // A left side of rows that lie anywhere, each of so many parts of `size` numbers.
  static int64_t stride(int64_t, int64_t) { return 1; }
  template <class Row>
  static void take(const Left<Entry>& to, int64_t rows, int64_t, int64_t, const Row& row) {
    for (int64_t r = 0; r < rows; ++r) to.begin[r] = row(r);
  }

  // A left side made of the columns of up to kChunk rows: tile by tile, first what belongs to one row, then to the next.
  static int64_t turned(int64_t width) { return width * kChunk; }
  template <class Row>
  static void turn(float* to, int64_t width, int64_t size, const Row& row) {
    constexpr int64_t kBlock = 16;
    for (int64_t first = 0; first < size; first += kBlock)
      seqjax::for_tiles(width, [&](int64_t k, auto tile) {
        for (int64_t r = first; r < size && r < first + kBlock; ++r)
          __builtin_memcpy(to + k * kChunk + r * tile.value, row(r) + k, sizeof(float) * tile.value);
      });
  }

  // A panel; `from(k, v)` points to the n(v) first floats of a vector, the others are zero.
  template <int V, class From, class Size>
  static void pack(float* panel, int64_t size, const From& from, const Size& n) {
    for (int64_t k = 0; k < size; ++k)
      for (int v = 0; v < V; ++v, panel += LANES) store(panel, load(from(k, v), n(v)));
  }

  // That of a transposed matrix: `from(column)` points to `size` floats of a column of the panel, of which there are `columns`.
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

  template <class Call>
  static void for_tiles(int64_t rows, const Call& call) {
    seqjax::for_tiles(rows, call);
  }

  template <int V, int LAST, int S, int R>
  static void add(float* tile, Count<R>, const Left<Entry>& left, int64_t size, const float* panel) {
    const float* begin[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) begin[r] = left.begin[r];
    add_product<V, LAST, S, R>(tile, [&](int r, int64_t k) { return begin[r][k]; }, size, panel);
  }

  template <int V, int R>
  static void add_turned(float* tile, Count<R>, const float* left, int64_t row, int64_t size, const float* panel) {
    const float* from = left + row * kChunk;
    add_product<V, V - 1, V, R>(tile, [=](int r, int64_t k) { return from[k * R + r]; }, size, panel);
  }

 private:
  template <int V, int LAST, int S, int R, class X>
  static inline __attribute__((always_inline)) void add_product(float* tile, const X& x, int64_t size, const float* panel) {
    vec acc[R][S];
    if (size <= kTerms) {
      load_tile(acc, tile);
      accumulate<V, LAST>(acc, x, size, panel);
      return store_tile(tile, acc);
    }
    for (int64_t begin = 0; begin < size; begin += kTerms) {
      clear_tile(acc);
      accumulate<V, LAST>(acc, [&](int r, int64_t k) { return x(r, begin + k); },
                          size - begin < kTerms ? size - begin : kTerms, panel + begin * V * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) acc[r][s] += load(tile + (r * S + s) * LANES);
      store_tile(tile, acc);
    }
  }
};
