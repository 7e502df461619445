// A cell over a whole sequence.
//
// The products of a step are summed in scratch: first those with the inputs, of several steps at once where the batch is small or
// the weights are large, then those with h, whose last block ends in the cell itself while the sums are in registers.

// How the work of a step is shared out: by rows, and then no thread waits for another, or by units.
struct Split {
  bool by_rows;
  int64_t groups, rows, parts;

  // Rows, while the weights stay in the cache of each core and each core gets rows enough to be busy.
  Split(int64_t threads, int64_t rows, int64_t parts, int64_t weights)
      : by_rows(threads == 1 || (weights * int64_t{sizeof(float)} < kCache && rows >= 8 * threads)),
        groups(by_rows ? threads : threads < parts ? threads : parts), rows(rows), parts(parts) {}

  int64_t first_row(int64_t group) const { return by_rows ? rows * group / groups : 0; }
  int64_t end_row(int64_t group) const { return by_rows ? rows * (group + 1) / groups : rows; }
  int64_t first_part(int64_t group) const { return by_rows ? 0 : parts * group / groups; }
  int64_t end_part(int64_t group) const { return by_rows ? parts : parts * (group + 1) / groups; }

  static constexpr int64_t kCache = 1600 * 1024;
};

template <class Cell>
class ForwardPass {
  static constexpr int kVectors = Cell::gates * Cell::units, kSlots = Cell::slots;
  static constexpr int64_t kUnits = Cell::units * LANES, kTile = kSlots * LANES;

 public:
  ForwardPass(const Forward& f, Team& team)
      : f_(f), p_(f.problem), clock_{p_}, panels_((p_.hidden + kUnits - 1) / kUnits),
        split_(team.threads(), p_.batch, panels_, (p_.inputs + p_.hidden) * Cell::gates * p_.hidden),
        ahead_(split_.by_rows ? 1 : steps_ahead(p_)),
        scratch_rows_(ahead_ * p_.batch * (ahead_ > 1 ? panels_ : split_.groups)),
        w_x_(panels_ * p_.inputs * kVectors * LANES), w_h_(panels_ * p_.hidden * kVectors * LANES),
        bias_(panels_ * kTile), scratch_(scratch_rows_ * kTile), memory_(p_.batch * p_.hidden), zeros_(p_.hidden),
        rows_(split_.groups * p_.batch), pointers_(split_.groups * p_.batch * ahead_) {}

  void run(Team& team) {
    for (int64_t u = 0; u < p_.hidden; ++u) *(zeros_ + u) = 0.0f;
    team.march(1, panels_, [&](int64_t, int64_t panel) { pack_panel(panel); });
    if (split_.by_rows) {
      team.march(1, split_.groups, [&](int64_t, int64_t group) {
        for (int64_t s = 0; s < p_.time; ++s) step(s, group);
      });
    } else {
      team.march(p_.time, split_.groups, [&](int64_t s, int64_t group) { step(s, group); });
    }
    for (int64_t b = 0; b < p_.batch; ++b)
      if (clock_.length(b) == 0) keep_initial(b);
  }

 private:
  static int64_t steps_ahead(const Problem& p) {
    int64_t steps = p.batch > 0 ? 128 / p.batch : 1;
    return steps < 1 ? 1 : steps > 24 ? 24 : steps;
  }

  void keep_initial(int64_t b) {
    for (int64_t i = b * p_.hidden; i < (b + 1) * p_.hidden; ++i) {
      f_.h_last[i] = f_.h0[i];
      if (Cell::memory) f_.c_last[i] = f_.c0[i];
    }
  }

  void pack_panel(int64_t panel) {
    auto column = [&](int v, int lane) -> int64_t {
      int64_t unit = panel * kUnits + (Cell::units > 1 ? v : 0) * LANES + lane;
      return unit < p_.hidden ? (Cell::units > 1 ? 0 : v) * p_.hidden + unit : -1;
    };
    int64_t width = Cell::gates * p_.hidden;
    pack<kVectors>(w_x_ + panel * p_.inputs * kVectors * LANES, f_.w_x, p_.inputs, width, 1, column);
    pack<kVectors>(w_h_ + panel * p_.hidden * kVectors * LANES, f_.w_h, p_.hidden, width, 1, column);
    pack<kVectors>(bias_ + panel * kTile, f_.b, 1, 0, 1, column);
    if (kVectors < kSlots) pack<1>(bias_ + panel * kTile + kVectors * LANES, f_.b_n, 1, 0, 1, column);
  }

  void step(int64_t step, int64_t group) {
    int64_t first = split_.first_row(group), count = split_.end_row(group) - first;
    int64_t begin = split_.first_part(group), end = split_.end_part(group);
    Row* rows = rows_ + group * p_.batch;
    for (int64_t b = 0; b < count; ++b) rows[b] = row_of(step, first + b);
    if (ahead_ > 1 && step % ahead_ == 0)
      for (int64_t panel = begin; panel < end; ++panel) project(step, group, first, count, panel);
    for (int64_t panel = begin; panel < end; ++panel) {
      if (ahead_ == 1) project(step, group, first, count, panel);
      recur(rows, group, count, panel, step % ahead_);
    }
  }

  float* sums_of(int64_t group, int64_t panel) const {
    return scratch_ + (ahead_ > 1 ? panel : group) * ahead_ * p_.batch * kTile;
  }

  // The sums of x W_x + b of one panel for the next steps.
  void project(int64_t step, int64_t group, int64_t first, int64_t count, int64_t panel) {
    int64_t steps = step + ahead_ < p_.time ? ahead_ : p_.time - step, total = steps * count;
    const float** xs = pointers_ + group * p_.batch * ahead_;
    for (int64_t i = 0; i < total; ++i)
      xs[i] = f_.xs + (clock_.time_of(step + i / count) * p_.batch + first + i % count) * p_.inputs;
    const float* weights = w_x_ + panel * p_.inputs * kVectors * LANES;
    float* sums = sums_of(group, panel);
    for_blocks(p_.inputs, [&](int64_t k, int64_t size) {
      for_tiles(total, [&](int64_t row, auto tile) {
        vec acc[tile.value][kSlots];
        if (k == 0) load_tile(acc, bias_ + panel * kTile, 0);
        else load_tile(acc, sums + row * kTile, kTile);
        accumulate<tile.value, kVectors, kSlots>(acc, xs + row, k, size, weights + k * kVectors * LANES);
        store_tile(sums + row * kTile, acc, kTile);
      });
    });
  }

  // One step of the units of one panel.
  void recur(const Row* rows, int64_t group, int64_t count, int64_t panel, int64_t offset) {
    const float* weights = w_h_ + panel * p_.hidden * kVectors * LANES;
    float* sums = sums_of(group, panel) + offset * count * kTile;
    for_blocks(p_.hidden, [&](int64_t k, int64_t size) {
      for_tiles(count, [&](int64_t first, auto tile) {
        const float* h[tile.value];
        for (int r = 0; r < tile.value; ++r) h[r] = rows[first + r].h;
        vec acc[tile.value][kSlots];
        load_tile(acc, sums + first * kTile, kTile);
        accumulate<tile.value, kVectors, kSlots, Cell::last>(acc, h, k, size, weights + k * kVectors * LANES);
        if (k + size < p_.hidden) return store_tile(sums + first * kTile, acc, kTile);
        for (int r = 0; r < tile.value; ++r) finish(rows[first + r], acc[r], panel);
      });
    });
  }

  void finish(const Row& row, const vec* sums, int64_t panel) {
    for (int q = 0; q < Cell::units; ++q) {
      int64_t unit = panel * kUnits + q * LANES, n = p_.hidden - unit;
      if (n <= 0) return;
      if (row.valid) Cell::forward(row, sums + q * (kSlots / Cell::units), unit, n, p_.hidden);
      else clear(row, unit, n);
    }
  }

  void clear(const Row& row, int64_t unit, int64_t n) {
    store(row.y + unit, vec{}, n);
    if (!row.saved) return;
    for (int gate = 0; gate < Cell::kept; ++gate) store(row.saved + gate * p_.hidden + unit, vec{}, n);
    if (Cell::memory) store(row.c_next + unit, vec{}, n);
  }

  Row row_of(int64_t step, int64_t b) {
    int64_t at = clock_.time_of(step) * p_.batch + b, here = at * p_.hidden;
    Row row = {};
    row.valid = clock_.valid(step, b);
    row.h = clock_.before(step, b, f_.ys, f_.h0, zeros_ + 0);
    row.y = f_.ys + here;
    row.saved = f_.saved ? f_.saved + here * Cell::kept : nullptr;
    if (step == clock_.end_step(b) - 1) row.h_last = f_.h_last + b * p_.hidden;
    if (!Cell::memory) return row;
    row.c_last = f_.c_last + b * p_.hidden;
    if (f_.saved) {
      row.c = clock_.before(step, b, f_.cs, f_.c0, zeros_ + 0);
      row.c_next = f_.cs + here;
    } else {
      row.c_next = memory_ + b * p_.hidden;
      bool fresh = !row.valid || clock_.starts(step, b);
      row.c = fresh ? zeros_ + 0 : step == clock_.first_step(b) ? f_.c0 + b * p_.hidden : row.c_next;
    }
    return row;
  }

  const Forward& f_;
  const Problem& p_;
  const Clock clock_;
  const int64_t panels_;
  const Split split_;
  const int64_t ahead_, scratch_rows_;
  Array<float> w_x_, w_h_, bias_, scratch_, memory_, zeros_;
  Array<Row> rows_;
  Array<const float*> pointers_;
};
