// A cell over a whole sequence.
//
// The products of a step with x and with h are summed tile by tile, and go from there to the cell. Where there are few rows those
// with x are summed for several steps at once, so that the weights are read once for all. Where there are few rows and steps, and
// where they are whole numbers, the weights are not packed but read as they are, see direct.h.

// How the work of a step is shared out: by rows, and then no thread waits for another, or by units.
struct Split {
  bool by_rows, in_turn;
  int64_t groups, rows, parts;

  // Rows, while the weights stay in the cache of each core and each core gets rows enough to be busy. Rows of different lengths
  // are dealt out in turn, for they may be sorted.
  Split(int64_t threads, int64_t rows, int64_t parts, int64_t bytes_of_weights, bool in_turn)
      : by_rows(threads == 1 || (bytes_of_weights < kCache && rows >= 8 * threads)), in_turn(in_turn),
        groups(by_rows ? threads : threads < parts ? threads : parts), rows(rows), parts(parts) {}

  int64_t rows_of(int64_t group) const {
    if (!by_rows) return rows;
    return in_turn ? (rows - group + groups - 1) / groups : rows * (group + 1) / groups - rows * group / groups;
  }
  int64_t most_rows() const { return rows_of(0) + 1; }
  int64_t row(int64_t group, int64_t i) const {
    if (!by_rows) return i;
    return in_turn ? group + i * groups : rows * group / groups + i;
  }
  int64_t first_part(int64_t group) const { return by_rows ? 0 : parts * group / groups; }
  int64_t end_part(int64_t group) const { return by_rows ? parts : parts * (group + 1) / groups; }

  static constexpr int64_t kCache = 1600 * 1024;
};

template <class Cell, class A>
class ForwardPass {
  using Number = typename A::Number;
  using Entry = typename A::Entry;
  static constexpr int kVectors = Cell::gates * Cell::units, kSlots = Cell::slots;
  static constexpr int kBlocks = kSlots / Cell::units;
  static constexpr int64_t kUnits = Cell::units * LANES, kWidth = kVectors * LANES, kTile = kSlots * LANES;

  // Rows times steps for which packing does not pay; measured, see benchmarks/chunks.py.
#ifndef SEQJAX_DIRECT
#define SEQJAX_DIRECT 8
#endif
  static constexpr int64_t kDirect = SEQJAX_DIRECT, kAlone = 1 << 20;

 public:
  ForwardPass(const Forward& f, Team& team)
      : f_(f), p_(f.problem), clock_{p_}, panels_((p_.hidden + kUnits - 1) / kUnits),
        direct_(f.int8_x.numbers || p_.time * p_.batch <= kDirect),
        split_(threads(team), p_.batch, panels_, weights() * int64_t{sizeof(Number)}, in_turn(team)),
        ahead_(steps_ahead(split_.rows_of(0))), packed_(direct_ ? 0 : panels_),
        x_size_(A::depth(p_.inputs)), h_size_(A::depth(p_.hidden)),
        x_entries_(entries_of<A>(split_.most_rows() * ahead_, 1, p_.inputs)),
        h_entries_(entries_of<A>(split_.most_rows(), 1, p_.hidden)),
        w_x_(packed_ * x_size_ * kWidth), w_h_(packed_ * h_size_ * kWidth), bias_(packed_ * kTile),
        sums_(direct_ ? 2 * p_.batch * kBlocks * p_.hidden : ahead_ > 1 ? ahead_ * p_.batch * panels_ * kTile : 0),
        memory_(p_.batch * p_.hidden), zeros_(p_.hidden), rows_(split_.groups * p_.batch),
        entries_(split_.groups * (x_entries_ + h_entries_)), bytes_(split_.groups * bytes_of_row()) {}

  bool ready() const { return w_x_ && w_h_ && bias_ && sums_ && memory_ && zeros_ && rows_ && entries_ && bytes_; }

  void run(Team& team) {
    for (int64_t u = 0; u < p_.hidden; ++u) *(zeros_ + u) = 0.0f;
    team.march(1, packed_, [&](int64_t, int64_t panel) { pack_panel(panel); });
    if (split_.by_rows) {
      team.march(1, split_.groups, [&](int64_t, int64_t group) {
        typename A::Unit unit;
        for (int64_t s = 0; s < p_.time; ++s) step(s, group);
      });
    } else {
      team.march(p_.time, split_.groups, [&](int64_t s, int64_t group) {
        typename A::Unit unit;
        step(s, group);
      });
    }
    for (int64_t b = 0; b < p_.batch; ++b)
      if (clock_.length(b) == 0) keep_initial(b);
  }

 private:
  int64_t weights() const { return (p_.inputs + p_.hidden) * Cell::gates * p_.hidden; }

  // One where a step takes no longer than to call another thread.
  int64_t threads(const Team& team) const { return direct_ && p_.batch * weights() < kAlone ? 1 : team.threads(); }

  // The sums of the next steps are of rows that stand side by side.
  bool in_turn(const Team& team) const { return p_.lengths && p_.batch >= A::kAhead * team.threads(); }

  static int64_t steps_ahead(int64_t rows) { return rows > 0 && rows < A::kAhead ? A::kAhead / rows : 1; }

  void keep_initial(int64_t b) {
    for (int64_t i = b * p_.hidden; i < (b + 1) * p_.hidden; ++i) {
      f_.h_last[i] = f_.h0[i];
      if (Cell::memory) f_.c_last[i] = f_.c0[i];
    }
  }

  void pack_panel(int64_t panel) {
    int64_t gate = Cell::units > 1 ? 0 : p_.hidden, width = Cell::gates * p_.hidden;
    auto unit = [&](int v) { return panel * kUnits + (Cell::units > 1 ? v : 0) * LANES; };
    auto size = [&](int v) { return p_.hidden - unit(v); };
    auto of = [&](const float* w) {
      return [=](int64_t k, int v) { return w + k * width + v * gate + unit(v); };
    };
    A::template pack<kVectors>(w_x_ + panel * x_size_ * kWidth, p_.inputs, of(f_.w_x), size);
    A::template pack<kVectors>(w_h_ + panel * h_size_ * kWidth, p_.hidden, of(f_.w_h), size);
    Float32::pack<kVectors>(bias_ + panel * kTile, 1, of(f_.b), size);
    if (kVectors < kSlots) Float32::pack<1>(bias_ + panel * kTile + kWidth, 1, of(f_.b_n), size);
  }

  // Every second step goes through the panels from the last to the first: what was used last is still in the cache.
  void step(int64_t step, int64_t group) {
    int64_t count = 0, begin = split_.first_part(group), end = split_.end_part(group);
    Row* rows = rows_ + group * p_.batch;
    const float none[kTile] = {};
    for (int64_t i = 0; i < split_.rows_of(group); ++i) {
      Row row = row_of(step, split_.row(group, i));
      // What is past its end has no product; the sums that are made ahead stand in the order of the rows.
      if (row.valid || ahead_ > 1) rows[count++] = row;
      else for (int64_t panel = begin; panel < end; ++panel) finish(&row, 1, none, panel);
    }
    int64_t first = split_.row(group, 0);
    if (direct_) return directly(rows, first, count, begin, end, bytes_ + group * bytes_of_row());
    Entry* entries = entries_ + group * (x_entries_ + h_entries_);
    const Left<Entry> xs = {entries, A::stride(1, p_.inputs)}, hs = {entries + x_entries_, A::stride(1, p_.hidden)};
    if (ahead_ == 1) {
      A::take(xs, count, 1, p_.inputs, [&](int64_t r) { return rows[r].x; });
    } else if (step % ahead_ == 0) {
      int64_t steps = step + ahead_ < p_.time ? ahead_ : p_.time - step;
      A::take(xs, steps * count, 1, p_.inputs, [&](int64_t r) { return x_of(step + r / count, first + r % count); });
      for (int64_t panel = begin; panel < end; ++panel) project(xs, steps * count, panel, sums_of(panel, first));
    }
    A::take(hs, count, 1, p_.hidden, [&](int64_t r) { return rows[r].h; });
    for (int64_t i = 0; i < end - begin; ++i) {
      int64_t panel = step % 2 ? end - 1 - i : begin + i;
      advance(rows, xs, hs, count, panel, ahead_ > 1 ? sums_of(panel, first) + step % ahead_ * count * kTile : nullptr);
    }
  }

  // One step of the units of some panels, by weights that are not packed.
  void directly(const Row* rows, int64_t first, int64_t count, int64_t begin, int64_t end, int8_t* bytes) {
    const int64_t h = p_.hidden, unit = begin * kUnits, units = (end * kUnits < h ? end * kUnits : h) - unit;
    auto sums = [&](int64_t r) { return sums_ + (first + r) * 2 * kBlocks * h; };
    auto of_x = [&](int64_t r) { return rows[r].valid ? rows[r].x : nullptr; };
    auto of_h = [&](int64_t r) { return rows[r].valid ? rows[r].h : nullptr; };
    for (int64_t r = 0; r < count; ++r)
      for (int block = 0; block < kBlocks && rows[r].valid; ++block)
        copy(sums(r) + block * h + unit, (block < Cell::gates ? f_.b + block * h : f_.b_n) + unit, units);
    if (f_.int8_x.numbers) {
      multiply_int8(sums, of_x, count, p_.inputs, f_.int8_x, unit, units, Cell::gates - 1, bytes);
      multiply_int8(sums, of_h, count, h, f_.int8_h, unit, units, kBlocks - 1, bytes);
    } else {
      multiply(sums, of_x, count, p_.inputs, f_.w_x, nullptr, unit, units, Cell::gates - 1);
      multiply(sums, of_h, count, h, f_.w_h, nullptr, unit, units, kBlocks - 1);
    }
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t r = 0; r < count; ++r) {
        alignas(64) float done[kTile] = {};
        for (int slot = 0; slot < kSlots && rows[r].valid; ++slot) {
          int64_t block = Cell::units > 1 ? 0 : slot, at = panel * kUnits + (Cell::units > 1 ? slot : 0) * LANES;
          store(done + slot * LANES, at < h ? load(sums(r) + block * h + at, h - at) : vec{});
        }
        finish(rows + r, 1, done, panel);
      }
  }

  // Adds the product of rows with weights to their sums, in parts as tiles do; that with the last gate goes to the block `last`. Of
  // whole numbers each column has a scale.
  template <class W, class Sums, class X>
  void multiply(const Sums& sums, const X& x, int64_t count, int64_t size, const W* w, const float* scale, int64_t unit,
                int64_t units, int last) {
    Block<W> blocks[Cell::gates];
    for (int gate = 0; gate < Cell::gates; ++gate)
      blocks[gate] = {w + gate * p_.hidden + unit, (gate == Cell::gates - 1 ? last : gate) * p_.hidden + unit};
    const int64_t stride = Cell::gates * p_.hidden;
    if (size <= kTerms && !scale) return add_product(sums, x, count, 0, size, blocks, Cell::gates, stride, units);
    auto part = [&](int64_t r) { return sums(r) + kBlocks * p_.hidden; };
    for (int64_t begin = 0; begin < size; begin += kTerms) {
      for_sums(x, count, blocks, [&](int64_t r, int, int64_t place) { copy(part(r) + place, nullptr, units); });
      add_product(part, x, count, begin, size - begin < kTerms ? size : begin + kTerms, blocks, Cell::gates, stride, units);
      for_sums(x, count, blocks, [&](int64_t r, int gate, int64_t place) {
        const float *from = part(r) + place, *times = scale ? scale + gate * p_.hidden + unit : nullptr;
        for (int64_t u = 0; u < units; ++u) sums(r)[place + u] += times ? times[u] * from[u] : from[u];
      });
    }
  }

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
  int64_t bytes_of_row() const { return WholeRow::bytes(p_.inputs > p_.hidden ? p_.inputs : p_.hidden); }

  // The same by whole numbers on both sides.
  template <class Sums, class X>
  void multiply_int8(const Sums& sums, const X& x, int64_t count, int64_t size, const Int8Weights& w, int64_t unit, int64_t units,
                     int last, int8_t* bytes) {
    for (int64_t r = 0; r < count; ++r) {
      if (!x(r)) continue;
      WholeRow row(bytes, x(r), size);
      for (int gate = 0; gate < Cell::gates; ++gate)
        for (int64_t u = 0; u < units; u += 64) {
          const int64_t from = gate * p_.hidden + unit + u, to = (gate == Cell::gates - 1 ? last : gate) * p_.hidden + unit + u;
          add_whole_block(sums(r) + to, row, size, w.numbers + from, Cell::gates * p_.hidden, w.scale + from, units - u);
        }
    }
  }
#else
  static int64_t bytes_of_row() { return 0; }

  template <class Sums, class X>
  void multiply_int8(const Sums& sums, const X& x, int64_t count, int64_t size, const Int8Weights& w, int64_t unit, int64_t units,
                     int last, int8_t*) {
    multiply(sums, x, count, size, w.numbers, w.scale, unit, units, last);
  }
#endif

  // Calls call(row, gate, place) for the sums of all blocks and rows that are not left out.
  template <class W, class X, class Call>
  static void for_sums(const X& x, int64_t count, const Block<W>* blocks, const Call& call) {
    for (int64_t r = 0; r < count; ++r)
      for (int gate = 0; gate < Cell::gates && x(r); ++gate) call(r, gate, blocks[gate].place);
  }

  static void copy(float* to, const float* from, int64_t size) {
    for (int64_t i = 0; i < size; ++i) to[i] = from ? from[i] : 0.0f;
  }

  float* sums_of(int64_t panel, int64_t first) const { return sums_ + (panel * p_.batch + first) * ahead_ * kTile; }

  // The sums of x W_x + b of one panel for the next steps.
  void project(const Left<Entry>& xs, int64_t rows, int64_t panel, float* sums) {
    A::for_tiles(rows, [&](int64_t first, auto tile) {
      alignas(64) float done[A::kRows * kTile];
      begin_tile<kSlots>(done, tile.value, bias_ + panel * kTile);
      A::template add<kVectors, kVectors - 1, kSlots>(done, tile, xs.below(first), x_size_, w_x_ + panel * x_size_ * kWidth);
      __builtin_memcpy(sums + first * kTile, done, tile.value * kTile * sizeof(float));
    });
  }

  // One step of the units of one panel; `sums` are those of x W_x + b where they are known.
  void advance(const Row* rows, const Left<Entry>& xs, const Left<Entry>& hs, int64_t count, int64_t panel, const float* sums) {
    A::for_tiles(count, [&](int64_t first, auto tile) {
      alignas(64) float done[A::kRows * kTile];
      if (sums) {
        __builtin_memcpy(done, sums + first * kTile, tile.value * kTile * sizeof(float));
      } else {
        begin_tile<kSlots>(done, tile.value, bias_ + panel * kTile);
        A::template add<kVectors, kVectors - 1, kSlots>(done, tile, xs.below(first), x_size_, w_x_ + panel * x_size_ * kWidth);
      }
      A::template add<kVectors, Cell::last, kSlots>(done, tile, hs.below(first), h_size_, w_h_ + panel * h_size_ * kWidth);
      finish(rows + first, tile.value, done, panel);
    });
  }

  // Not inline, for the constants of the cell would take registers from the products.
  __attribute__((noinline)) void finish(const Row* rows, int64_t count, const float* sums, int64_t panel) const {
    for (int64_t r = 0; r < count; ++r)
      for (int q = 0; q < Cell::units; ++q, sums += kTile / Cell::units) {
        int64_t unit = panel * kUnits + q * LANES, n = p_.hidden - unit;
        if (n >= LANES) finish(rows[r], sums, unit, Whole{});
        else if (n > 0) finish(rows[r], sums, unit, n);
      }
  }

  template <class N>
  inline void finish(const Row& row, const float* sums, int64_t unit, N n) const {
    if (row.valid) return Cell::forward(row, sums, unit, n, p_.hidden);
    store(row.y + unit, vec{}, n);
    if (!row.saved) return;
    for (int gate = 0; gate < Cell::kept; ++gate) store(row.saved + gate * p_.hidden + unit, vec{}, n);
    if (Cell::memory) store(row.c_next + unit, vec{}, n);
  }

  const float* x_of(int64_t step, int64_t b) const {
    return f_.xs + (clock_.time_of(step) * p_.batch + b) * p_.inputs;
  }

  Row row_of(int64_t step, int64_t b) {
    int64_t at = clock_.time_of(step) * p_.batch + b, here = at * p_.hidden;
    Row row = {};
    row.valid = clock_.valid(step, b);
    row.x = x_of(step, b);
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
  const bool direct_;
  const Split split_;
  const int64_t ahead_, packed_, x_size_, h_size_, x_entries_, h_entries_;
  Array<Number> w_x_, w_h_;
  Array<float> bias_, sums_, memory_, zeros_;
  Array<Row> rows_;
  Array<Entry> entries_;
  Array<int8_t> bytes_;
};
