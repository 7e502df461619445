// The gradients of weights and inputs, products over time and batch when the gradients of all sums are known.

constexpr int64_t kColumns = 4 * LANES;  // of a panel

// Calls call(Count<V>) for the vectors that the last `columns` of a matrix fill in a panel.
template <class Call>
static inline void with_vectors(int64_t columns, const Call& call) {
  with_count<4>(columns < kColumns ? (columns + LANES - 1) / LANES : 4, call);
}

template <int R, int V>
static inline void store_tile(float* to, int64_t stride, const vec (&acc)[R][V], int64_t columns, bool add) {
  for (int r = 0; r < R; ++r, to += stride)
    for (int v = 0; v < V; ++v) {
      int64_t n = columns - v * LANES;
      store(to + v * LANES, add ? load(to + v * LANES, n) + acc[r][v] : acc[r][v], n);
    }
}

// The gradient of the weights: from chunks of rows, for a long sum loses accuracy, and by panels of the units of one gate.
class WeightProduct {
 public:
  WeightProduct(const WeightGradient& g, const Places& places, Team& team)
      : g_(g), p_(g.problem), places_(places), clock_{p_}, order_(p_.time * p_.batch), rows_(valid_rows()), width_(places.gates * p_.hidden),
        parts_((p_.hidden + kColumns - 1) / kColumns), panels_(places.kept * parts_),
        groups_(team.threads() < panels_ ? team.threads() : panels_),
        scratch_size_((p_.inputs + p_.hidden + kColumns) * kChunk), scratch_(groups_ * scratch_size_), zeros_(p_.hidden) {}

  bool ready() const { return order_ && scratch_ && zeros_; }

  void run(Team& team) {
    clear(zeros_ + 0, p_.hidden);
    if (rows_ == 0) return clear();
    team.march(1, groups_, [&](int64_t, int64_t group) {
      float *xs = scratch_ + group * scratch_size_, *hs = xs + p_.inputs * kChunk, *packed = hs + p_.hidden * kChunk;
      for (int64_t first = 0; first < rows_; first += kChunk) {
        int64_t size = rows_ - first < kChunk ? rows_ - first : kChunk;
        gather(xs, p_.inputs, size, [&](int64_t r) { return g_.xs + row(first + r) * p_.inputs; });
        gather(hs, p_.hidden, size, [&](int64_t r) { return h_before(row(first + r)); });
        for (int64_t panel = panels_ * group / groups_; panel < panels_ * (group + 1) / groups_; ++panel)
          add(first, size, panel / parts_, panel % parts_ * kColumns, xs, hs, packed);
      }
    });
  }

 private:
  static constexpr int64_t kChunk = 512;

  // Lists the rows of all times that are not past their end, and counts them.
  int64_t valid_rows() {
    int64_t rows = p_.time * p_.batch, found = 0;
    if (!p_.lengths || !order_) return rows;
    for (int64_t r = 0; r < rows; ++r)
      if (clock_.holds(r)) *(order_ + found++) = r;
    return found;
  }

  int64_t row(int64_t i) const { return p_.lengths ? *(order_ + i) : i; }

  static void clear(float* to, int64_t size) {
    for (int64_t i = 0; i < size; ++i) to[i] = 0.0f;
  }

  void clear() {
    clear(g_.d_w_x, p_.inputs * width_);
    clear(g_.d_w_h, p_.hidden * width_);
    clear(g_.d_b, width_);
    if (g_.d_b_n) clear(g_.d_b_n, p_.hidden);
  }

  // Columns of rows, tile by tile: of each first all that belong to one row, then those of the next.
  template <class Row>
  static void gather(float* to, int64_t width, int64_t size, const Row& row) {
    constexpr int64_t kRows = 16;
    for (int64_t first = 0; first < size; first += kRows)
      for_tiles(width, [&](int64_t k, auto tile) {
        for (int64_t r = first; r < size && r < first + kRows; ++r)
          __builtin_memcpy(to + k * kChunk + r * tile.value, row(r) + k, sizeof(float) * tile.value);
      });
  }

  // What a chunk of rows adds to a panel of a gate.
  void add(int64_t first, int64_t size, int64_t gate, int64_t unit, const float* xs, const float* hs, float* packed) {
    int64_t stride = places_.kept * p_.hidden, n = p_.hidden - unit;
    int64_t to_x = places_.of_x[gate] * p_.hidden + unit, to_h = places_.of_h[gate] * p_.hidden + unit;
    const float* d_sums = g_.d_sums + gate * p_.hidden + unit;
    with_vectors(n, [&](auto vectors) {
      constexpr int V = vectors.value;
      pack<V>(packed, size, [&](int64_t r, int v) { return d_sums + row(first + r) * stride + v * LANES; },
              [&](int v) { return n - v * LANES; });
      if (to_x >= 0) multiply<V>(xs, p_.inputs, size, packed, g_.d_w_x + to_x, n, first > 0);
      if (to_h >= 0) multiply<V>(hs, p_.hidden, size, packed, g_.d_w_h + to_h, n, first > 0);
      vec sums[1][V];
      fill_tile(sums, nullptr);
      accumulate<V>(sums, [](int, int64_t) { return 1.0f; }, size, packed);
      store_tile(to_x >= 0 ? g_.d_b + to_x : g_.d_b_n + unit, 0, sums, n, first > 0);
    });
  }

  template <int V>
  void multiply(const float* rows, int64_t width, int64_t size, const float* packed, float* to, int64_t n,
                bool add) const {
    for_tiles(width, [&](int64_t k, auto tile) {
      const float* from = rows + k * kChunk;
      for (int r = 0; r < tile.value; ++r) fetch<V>(to + (k + r) * width_);
      vec acc[tile.value][V];
      fill_tile(acc, nullptr);
      accumulate<V>(acc, [=](int r, int64_t row) { return from[row * tile.value + r]; }, size, packed);
      store_tile(to + k * width_, width_, acc, n, add);
    });
  }

  const float* h_before(int64_t row) const {
    return clock_.before(clock_.time_of(row / p_.batch), row % p_.batch, g_.ys, g_.h0, zeros_ + 0);
  }

  const WeightGradient& g_;
  const Problem& p_;
  const Places places_;
  const Clock clock_;
  Array<int64_t> order_;
  const int64_t rows_, width_, parts_, panels_, groups_, scratch_size_;
  Array<float> scratch_, zeros_;
};

static bool input_gradient(const InputGradient& g, const Places& places, Team& team) {
  constexpr int64_t kRows = 96;
  const Problem& p = g.problem;
  int64_t rows = p.time * p.batch, size = places.gates * p.hidden, stride = places.kept * p.hidden;
  int64_t panels = (p.inputs + kColumns - 1) / kColumns;
  Array<float> w(panels * size * kColumns);
  if (!w) return false;
  team.march(1, panels, [&](int64_t, int64_t panel) {
    int64_t first = panel * kColumns, n = p.inputs - first;
    with_vectors(n, [&](auto vectors) {
      float* to = w + panel * size * kColumns;
      for (int gate = 0; gate < places.gates; ++gate, to += p.hidden * vectors.value * LANES)
        pack_turned<vectors.value>(to, p.hidden, n, [&](int64_t column) {
          return g.w_x + (first + column) * size + places.of_x[gate] * p.hidden;
        });
    });
  });
  const Clock clock{p};
  team.march(1, (rows + kRows - 1) / kRows, [&](int64_t, int64_t group) {
    int64_t first = group * kRows, last = first + kRows < rows ? first + kRows : rows, count = 0, valid[kRows];
    for (int64_t row = first; row < last; ++row) {
      if (clock.holds(row)) valid[count++] = row;
      else __builtin_memset(g.d_xs + row * p.inputs, 0, p.inputs * sizeof(float));
    }
    for (int64_t panel = 0; panel < panels; ++panel) {
      int64_t column = panel * kColumns, n = p.inputs - column;
      with_vectors(n, [&](auto vectors) {
        for_tiles(count, [&](int64_t row, auto tile) {
          constexpr int R = tile.value, V = vectors.value;
          Rows<R> d_sums([&](int r) { return g.d_sums + valid[row + r] * stride; });
          const float* of_panel = w + panel * size * kColumns;
          alignas(64) float done[R * V * LANES] = {};
          vec acc[R][V];
          fill_tile(acc, nullptr);
          if (size <= kTerms) {
            accumulate<V>(acc, d_sums, size, of_panel);
          } else {
            accumulate_parts<R, V, V>(done, d_sums, size, of_panel);
            load_tile(acc, done);
          }
          for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v)
              store(g.d_xs + valid[row + r] * p.inputs + column + v * LANES, acc[r][v], n - v * LANES);
        });
      });
    }
  });
  return true;
}
