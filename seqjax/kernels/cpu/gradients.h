// The gradients of weights and inputs, products over time and batch when the gradients of all sums are known.

// out [width + 1, columns] = sum over rows of [a, 1] outer d; `a(row)` points to `width` floats, `d(row)` to `columns`.
template <class A, class D>
static void outer_product(int64_t rows, int64_t width, int64_t columns, const A& a, const D& d, float* out,
                          Team& team) {
  constexpr int kVectors = 4;
  constexpr int64_t kChunk = 128, kStride = kChunk + 16, kColumns = kVectors * LANES;  // a long sum loses accuracy
  int64_t panels = (columns + kColumns - 1) / kColumns, chunks = (rows + kChunk - 1) / kChunk;
  int64_t groups = team.threads() < panels ? team.threads() : panels;
  Array<float> turned(2 * (width + 1) * kStride), packed(groups * kChunk * kColumns);

  auto turn = [&](int64_t chunk, int64_t group) {
    int64_t first = chunk * kChunk, size = rows - first < kChunk ? rows - first : kChunk;
    float* to = turned + (chunk % 2) * (width + 1) * kStride;
    int64_t begin = kChunk * group / groups, end = kChunk * (group + 1) / groups;
    for (int64_t r = begin; r < (end < size ? end : size); ++r) {
      const float* from = a(first + r);
      for (int64_t k = 0; k < width; ++k) to[k * kStride + r] = from[k];
      to[width * kStride + r] = 1.0f;
    }
  };
  auto multiply = [&](int64_t chunk, int64_t group) {
    int64_t first = chunk * kChunk, size = rows - first < kChunk ? rows - first : kChunk;
    const float* left = turned + (chunk % 2) * (width + 1) * kStride;
    float* right = packed + group * kChunk * kColumns;
    for (int64_t panel = panels * group / groups; panel < panels * (group + 1) / groups; ++panel) {
      int64_t column = panel * kColumns;
      for (int64_t r = 0; r < size; ++r)
        for (int v = 0; v < kVectors; ++v) {
          int64_t n = columns - column - v * LANES;
          store(right + r * kColumns + v * LANES, n > 0 ? load(d(first + r) + column + v * LANES, n) : vec{});
        }
      for_tiles(width + 1, [&](int64_t k, auto tile) {
        const float* from[tile.value];
        for (int r = 0; r < tile.value; ++r) from[r] = left + (k + r) * kStride;
        vec acc[tile.value][kVectors] = {};
        accumulate<tile.value, kVectors, kVectors>(acc, from, 0, size, right);
        for (int r = 0; r < tile.value; ++r)
          for (int v = 0; v < kVectors; ++v) {
            int64_t n = columns - column - v * LANES;
            float* to = out + (k + r) * columns + column + v * LANES;
            if (n > 0) store(to, chunk ? load(to, n) + acc[r][v] : acc[r][v], n);
          }
      });
    }
  };
  for (int64_t i = 0; rows == 0 && i < (width + 1) * columns; ++i) out[i] = 0.0f;
  team.march(chunks > 0 ? chunks + 1 : 0, groups, [&](int64_t step, int64_t group) {
    if (step > 0) multiply(step - 1, group);
    if (step < chunks) turn(step, group);
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
    auto column = [&](int v, int lane) {
      int64_t input = panel * kColumns + v * LANES + lane;
      return input < p.inputs ? input : -1;
    };
    float* to = w + panel * size * kColumns;
    pack<kVectors>(to, g.w_x + rotation, size - rotation, 1, size, column);
    pack<kVectors>(to + (size - rotation) * kColumns, g.w_x, rotation, 1, size, column);
  });
  team.march(1, (rows + kRows - 1) / kRows, [&](int64_t, int64_t group) {
    int64_t first = group * kRows, count = rows - first < kRows ? rows - first : kRows;
    const float* d_sums[kRows];
    alignas(64) float sums[kRows * kColumns];
    for (int64_t r = 0; r < count; ++r) d_sums[r] = g.d_sums + (first + r) * stride;
    for (int64_t panel = 0; panel < panels; ++panel)
      for_blocks(size, [&](int64_t k, int64_t block) {
        for_tiles(count, [&](int64_t row, auto tile) {
          vec acc[tile.value][kVectors] = {};
          if (k > 0) load_tile(acc, sums + row * kColumns, kColumns);
          accumulate<tile.value, kVectors, kVectors>(acc, d_sums + row, k, block, w + (panel * size + k) * kColumns);
          if (k + block < size) return store_tile(sums + row * kColumns, acc, kColumns);
          for (int r = 0; r < tile.value; ++r)
            for (int v = 0; v < kVectors; ++v) {
              int64_t column = panel * kColumns + v * LANES, n = p.inputs - column;
              if (n > 0) store(g.d_xs + (first + row + r) * p.inputs + column, acc[r][v], n);
            }
        });
      });
  });
}
