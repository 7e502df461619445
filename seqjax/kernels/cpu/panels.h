// Weights packed in the order in which they are read, and products of rows with them.
//
// A panel holds V vectors side by side for each k. A tile of up to ROWS rows times one panel stays in registers while k
// runs over a block, and a block of a panel serves all rows before the next one is touched.

constexpr int64_t kBlock = 128;  // of k: a block of a panel of 4 vectors fills the first-level cache

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

// Calls call(first, size) for blocks of k; once, with size 0, where there is nothing to sum.
template <class Call>
static inline void for_blocks(int64_t size, const Call& call) {
  int64_t blocks = size > 0 ? (size + kBlock - 1) / kBlock : 1;
  for (int64_t block = 0; block < blocks; ++block) {
    int64_t first = size * block / blocks;
    call(first, size * (block + 1) / blocks - first);
  }
}

// acc[r][v] += sum over k of a[r][k] * panel[k][v]; the last of the V vectors is summed in acc[r][LAST].
template <int R, int V, int S, int LAST = V - 1>
static inline __attribute__((always_inline)) void accumulate(vec (&acc)[R][S], const float* const* a, int64_t from,
                                                             int64_t size, const float* panel) {
  const float* row[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) row[r] = a[r] + from;
  for (int64_t k = 0; k < size; ++k, panel += V * LANES) {
    vec w[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) w[v] = load(panel + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float x = row[r][k];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v == V - 1 ? LAST : v] += x * w[v];
    }
  }
}

template <int R, int S>
static inline __attribute__((always_inline)) void load_tile(vec (&acc)[R][S], const float* from, int64_t stride) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) acc[r][s] = load(from + r * stride + s * LANES);
}

template <int R, int S>
static inline __attribute__((always_inline)) void store_tile(float* to, const vec (&acc)[R][S], int64_t stride) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) store(to + r * stride + s * LANES, acc[r][s]);
}

// Elements that begin on a cache line, not initialised.
template <class T>
class Array {
 public:
  explicit Array(int64_t size)
      : data_(static_cast<char*>(__builtin_malloc(size * sizeof(T) + 64))),
        begin_(reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(data_) + 63) & ~uintptr_t{63})) {
    if (data_ == nullptr) __builtin_trap();
  }
  ~Array() { __builtin_free(data_); }
  Array(const Array&) = delete;
  T* operator+(int64_t offset) const { return begin_ + offset; }

 private:
  char* data_;
  T* begin_;
};

// Columns of w [k, columns], or of its transpose, in panels of V * LANES; the columns past the end are zero.
// `column(panel, v, lane)` names the column; a negative one is past the end.
template <int V, class Column>
static void pack(float* panel, const float* w, int64_t size, int64_t k_stride, int64_t column_stride,
                 const Column& column) {
  int64_t from[V * LANES];
  for (int v = 0; v < V; ++v)
    for (int lane = 0; lane < LANES; ++lane) from[v * LANES + lane] = column(v, lane);
  for (int64_t k = 0; k < size; ++k)
    for (int i = 0; i < V * LANES; ++i)
      *panel++ = from[i] < 0 ? 0.0f : w[k * k_stride + from[i] * column_stride];
}
