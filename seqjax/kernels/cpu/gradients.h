// The gradients of weights and inputs, products over time and batch when the gradients of all sums are known.

// out [width + 1, columns] = sum over rows of [a, 1] outer d; `a(row)` points to `width` floats, `d(row)` to `columns`.
template <class A, class D>
static void outer_product(int64_t rows, int64_t width, int64_t columns, const A& a, const D& d, float* out,
                          Team& team) {
  constexpr int kVectors = 4;
  constexpr int64_t kChunk = 512, kColumns = kVectors * LANES;  // a longer sum would lose accuracy
  int64_t panels = (columns + kColumns - 1) / kColumns;
  int64_t groups = team.threads() < panels ? team.threads() : panels;
  Array<float> packed(groups * kChunk * kColumns);

  auto multiply = [&](int64_t first, int64_t panel, float* right) {
    int64_t size = rows - first < kChunk ? rows - first : kChunk, column = panel * kColumns;
    const float* left[kChunk];
    for (int64_t r = 0; r < size; ++r) left[r] = a(first + r);
    auto n = [&](int v) { return columns - column - v * LANES; };
    pack<kVectors>(right, size, [&](int64_t r, int v) { return d(first + r) + column + v * LANES; }, n);
    for_tiles(width, [&](int64_t k, auto tile) {
      vec acc[tile.value][kVectors];
      fill_tile(acc, nullptr);
      accumulate<kVectors>(acc, [&](int r, int64_t row) { return left[row][k + r]; }, size, right);
      for (int r = 0; r < tile.value; ++r)
        for (int v = 0; v < kVectors; ++v) {
          float* to = out + (k + r) * columns + column + v * LANES;
          store(to, first ? load(to, n(v)) + acc[r][v] : acc[r][v], n(v));
        }
    });
    vec sums[1][kVectors];
    fill_tile(sums, nullptr);
    accumulate<kVectors>(sums, [](int, int64_t) { return 1.0f; }, size, right);
    for (int v = 0; v < kVectors; ++v) {
      float* to = out + width * columns + column + v * LANES;
      store(to, first ? load(to, n(v)) + sums[0][v] : sums[0][v], n(v));
    }
  };
  for (int64_t i = 0; rows == 0 && i < (width + 1) * columns; ++i) out[i] = 0.0f;
  team.march(1, groups, [&](int64_t, int64_t group) {
    for (int64_t first = 0; first < rows; first += kChunk)
      for (int64_t panel = panels * group / groups; panel < panels * (group + 1) / groups; ++panel)
        multiply(first, panel, packed + group * kChunk * kColumns);
  });
}

template <class Cell>
static void weight_gradient(const WeightGradient& g, Team& team) {
  const Problem& p = g.problem;
  const Clock clock{p};
  int64_t rows = p.time * p.batch, columns = Cell::gates * p.hidden, stride = Cell::kept * p.hidden;
  Array<float> zeros(p.hidden);
  for (int64_t u = 0; u < p.hidden; ++u) *(zeros + u) = 0.0f;
  outer_product(
      rows, p.inputs, columns, [&](int64_t row) { return g.xs + row * p.inputs; },
      [&](int64_t row) { return g.d_sums + row * stride; }, g.d_w_x, team);
  outer_product(
      rows, p.hidden, columns,
      [&](int64_t row) { return clock.before(clock.time_of(row / p.batch), row % p.batch, g.ys, g.h0, zeros + 0); },
      [&](int64_t row) { return g.d_sums + row * stride + stride - columns; }, g.d_w_h, team);
}

template <class Cell>
static void input_gradient(const InputGradient& g, Team& team) {
  constexpr int kVectors = 4;
  constexpr int64_t kRows = 96, kColumns = kVectors * LANES;
  const Problem& p = g.problem;
  int64_t rows = p.time * p.batch, size = Cell::gates * p.hidden, stride = Cell::kept * p.hidden;
  int64_t panels = (p.inputs + kColumns - 1) / kColumns;
  Array<float> w(panels * size * kColumns);
  // The GRU's gradients stand in the order n, r, z, its weights in the order r, z, n.
  int64_t rotation = Cell::kept > Cell::gates ? 2 * p.hidden : 0;
  team.march(1, panels, [&](int64_t, int64_t panel) {
    float* to = w + panel * size * kColumns;
    auto from = [&](int64_t column) { return g.w_x + (panel * kColumns + column) * size; };
    pack_turned<kVectors>(to, size - rotation, p.inputs - panel * kColumns, [&](int64_t c) { return from(c) + rotation; });
    pack_turned<kVectors>(to + (size - rotation) * kColumns, rotation, p.inputs - panel * kColumns, from);
  });
  team.march(1, (rows + kRows - 1) / kRows, [&](int64_t, int64_t group) {
    int64_t first = group * kRows, count = rows - first < kRows ? rows - first : kRows;
    for (int64_t panel = 0; panel < panels; ++panel)
      for_tiles(count, [&](int64_t row, auto tile) {
        vec acc[tile.value][kVectors];
        fill_tile(acc, nullptr);
        Rows<tile.value> d_sums([&](int r) { return g.d_sums + (first + row + r) * stride; });
        accumulate<kVectors>(acc, d_sums, size, w + panel * size * kColumns);
        for (int r = 0; r < tile.value; ++r)
          for (int v = 0; v < kVectors; ++v) {
            int64_t column = panel * kColumns + v * LANES, n = p.inputs - column;
            if (n > 0) store(g.d_xs + (first + row + r) * p.inputs + column, acc[r][v], n);
          }
      });
  });
}
