// The gradients of weights and inputs, products over time and batch when the gradients of all sums are known.

constexpr int64_t kColumns = 4 * LANES;  // of a panel

// Calls call(Count<V>) for the vectors that the last `columns` of a matrix fill in a panel.
template <class Call>
static inline void with_vectors(int64_t columns, const Call& call) {
  with_count<4>(columns < kColumns ? (columns + LANES - 1) / LANES : 4, call);
}

// The first columns of the first rows of a tile, in place of what was there or added to it.
template <int V>
static inline void put_tile(float* to, int64_t stride, const float* tile, int64_t rows, int64_t columns, bool add) {
  for (int64_t r = 0; r < rows; ++r, to += stride)
    for (int v = 0; v < V; ++v, tile += LANES) {
      int64_t n = columns - v * LANES;
      store(to + v * LANES, add ? load(to + v * LANES, n) + load(tile) : load(tile), n);
    }
}

// The gradient of the weights: from chunks of rows, for a long sum loses accuracy, and by panels of the units of one gate.
template <class A>
class WeightProduct {
  using Number = typename A::Number;

 public:
  WeightProduct(const WeightGradient& g, const Places& places, Team& team)
      : g_(g), p_(g.problem), places_(places), clock_{p_}, order_(p_.time * p_.batch), rows_(valid_rows()), width_(places.gates * p_.hidden),
        parts_((p_.hidden + kColumns - 1) / kColumns), panels_(places.kept * parts_),
        groups_(team.threads() < panels_ ? team.threads() : panels_),
        states_(g.d_w_h ? p_.hidden : 0),
        scratch_size_(A::turned(p_.inputs) + A::turned(states_) + kColumns * kChunk), scratch_(groups_ * scratch_size_), zeros_(states_) {}

  bool ready() const { return order_ && scratch_ && zeros_; }

  void run(Team& team) {
    clear(zeros_ + 0, states_);
    if (rows_ == 0) return clear();
    team.march(1, groups_, [&](int64_t, int64_t group) {
      typename A::Unit unit;
      Number *xs = scratch_ + group * scratch_size_, *hs = xs + A::turned(p_.inputs), *packed = hs + A::turned(states_);
      for (int64_t first = 0; first < rows_; first += kChunk) {
        int64_t size = rows_ - first < kChunk ? rows_ - first : kChunk;
        A::turn(xs, p_.inputs, size, [&](int64_t r) { return g_.xs + row(first + r) * p_.inputs; });
        A::turn(hs, states_, size, [&](int64_t r) { return h_before(row(first + r)); });
        for (int64_t panel = panels_ * group / groups_; panel < panels_ * (group + 1) / groups_; ++panel)
          add(first, size, panel / parts_, panel % parts_ * kColumns, xs, hs, packed);
      }
    });
  }

 private:
  static constexpr int64_t kChunk = A::kChunk;

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
    clear(g_.d_w_h, states_ * width_);
    clear(g_.d_b, width_);
    if (g_.d_b_n) clear(g_.d_b_n, p_.hidden);
  }

  // What a chunk of rows adds to a panel of a gate.
  void add(int64_t first, int64_t size, int64_t gate, int64_t unit, const Number* xs, const Number* hs, Number* packed) {
    int64_t stride = places_.kept * p_.hidden, n = p_.hidden - unit;
    int64_t to_x = places_.of_x[gate] * p_.hidden + unit, to_h = places_.of_h[gate] * p_.hidden + unit;
    const float* d_sums = g_.d_sums + gate * p_.hidden + unit;
    with_vectors(n, [&](auto vectors) {
      constexpr int V = vectors.value;
      auto of = [&](int64_t r, int v) { return d_sums + row(first + r) * stride + v * LANES; };
      A::template pack<V>(packed, size, of, [&](int v) { return n - v * LANES; });
      if (to_x >= 0) multiply<V>(xs, p_.inputs, size, packed, g_.d_w_x + to_x, n, first > 0);
      if (to_h >= 0) multiply<V>(hs, states_, size, packed, g_.d_w_h + to_h, n, first > 0);
      vec sums[V] = {};
      for (int64_t r = 0; r < size; ++r)
        for (int v = 0; v < V; ++v) sums[v] += load(of(r, v), n - v * LANES);
      put_tile<V>(to_x >= 0 ? g_.d_b + to_x : g_.d_b_n + unit, 0, reinterpret_cast<const float*>(sums), 1, n, first > 0);
    });
  }

  template <int V>
  void multiply(const Number* turned, int64_t width, int64_t size, const Number* packed, float* to, int64_t n, bool add) const {
    A::for_tiles(width, [&](int64_t k, auto tile) {
      for (int64_t r = 0; r < tile.value; ++r) fetch<V>(to + (k + r) * width_);
      alignas(64) float done[A::kRows * V * LANES];
      begin_tile<V>(done, tile.value, nullptr);
      A::template add_turned<V>(done, tile, turned, k, A::depth(size), packed);
      put_tile<V>(to + k * width_, width_, done, tile.value, n, add);
    });
  }

  // Asks for V vectors that will be read or written when the product at hand is done.
  template <int V>
  static void fetch(const float* from) {
    for (int v = 0; v < V; ++v) __builtin_prefetch(from + v * LANES);
  }

  const float* h_before(int64_t row) const {
    return clock_.before(clock_.time_of(row / p_.batch), row % p_.batch, g_.ys, g_.h0, zeros_ + 0);
  }

  const WeightGradient& g_;
  const Problem& p_;
  const Places places_;
  const Clock clock_;
  Array<int64_t> order_;
  const int64_t rows_, width_, parts_, panels_, groups_;
  const int64_t states_, scratch_size_;  // numbers of a state, of which a product with inputs alone has none
  Array<Number> scratch_;
  Array<float> zeros_;
};

template <class A>
static bool input_gradient(const InputGradient& g, const Places& places, Team& team) {
  constexpr int64_t kRows = 96;
  const Problem& p = g.problem;
  const int64_t rows = p.time * p.batch, width = places.gates * p.hidden, stride = places.kept * p.hidden;
  const int64_t panels = (p.inputs + kColumns - 1) / kColumns, part = A::depth(p.hidden), size = places.gates * part;
  const int64_t blocks = (rows + kRows - 1) / kRows, row_stride = A::stride(places.gates, p.hidden);
  const int64_t groups = team.threads() < blocks ? team.threads() : blocks;
  Array<typename A::Number> w(panels * size * kColumns);
  Array<typename A::Entry> entries(groups * kRows * row_stride);
  if (!w || !entries) return false;
  team.march(1, panels, [&](int64_t, int64_t panel) {
    int64_t first = panel * kColumns, n = p.inputs - first;
    with_vectors(n, [&](auto vectors) {
      auto* to = w + panel * size * kColumns;
      for (int gate = 0; gate < places.gates; ++gate, to += part * vectors.value * LANES)
        A::template pack_turned<vectors.value>(to, p.hidden, n, [&](int64_t column) {
          return g.w_x + (first + column) * width + places.of_x[gate] * p.hidden;
        });
    });
  });
  const Clock clock{p};
  auto of_block = [&](int64_t block, const Left<typename A::Entry>& d_sums) {
    int64_t first = block * kRows, last = first + kRows < rows ? first + kRows : rows, count = 0, valid[kRows];
    for (int64_t row = first; row < last; ++row) {
      if (clock.holds(row)) valid[count++] = row;
      else __builtin_memset(g.d_xs + row * p.inputs, 0, p.inputs * sizeof(float));
    }
    A::take(d_sums, count, places.gates, p.hidden, [&](int64_t r) { return g.d_sums + valid[r] * stride; });
    for (int64_t panel = 0; panel < panels; ++panel) {
      int64_t column = panel * kColumns, n = p.inputs - column;
      with_vectors(n, [&](auto vectors) {
        A::for_tiles(count, [&](int64_t row, auto tile) {
          constexpr int V = vectors.value;
          alignas(64) float done[A::kRows * V * LANES];
          begin_tile<V>(done, tile.value, nullptr);
          A::template add<V, V - 1, V>(done, tile, d_sums.below(row), size, w + panel * size * kColumns);
          for (int64_t r = 0; r < tile.value; ++r)
            put_tile<V>(g.d_xs + valid[row + r] * p.inputs + column, 0, done + r * V * LANES, 1, n, false);
        });
      });
    }
  };
  team.march(1, groups, [&](int64_t, int64_t group) {
    typename A::Unit unit;
    const Left<typename A::Entry> d_sums = {entries + group * kRows * row_stride, row_stride};
    for (int64_t block = group; block < blocks; block += groups) of_block(block, d_sums);
  });
  return true;
}
