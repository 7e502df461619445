// The derivative of a cell over a whole sequence: the gradients of the sums of each step, from the last one read to the first.
//
// At each step the product of the next step's gradients with W_h transposed is the gradient of h; its last block ends in the cell's
// own derivative.

template <class Cell, class A>
class BackwardPass {
  using Number = typename A::Number;
  using Entry = typename A::Entry;
  static constexpr int kVectors = 4;
  static constexpr int64_t kUnits = kVectors * LANES;

 public:
  BackwardPass(const Backward& g, Team& team)
      : g_(g), p_(g.problem), clock_{p_}, columns_(Cell::gates * p_.hidden), panels_((p_.hidden + kUnits - 1) / kUnits),
        split_(team.threads(), p_.batch, panels_, p_.hidden * columns_ * int64_t{sizeof(Number)}, p_.lengths != nullptr),
        size_(A::depth(columns_)), group_entries_(entries_of<A>(split_.most_rows(), 1, columns_)),
        w_h_(panels_ * size_ * kUnits),
        carry_(p_.batch * p_.hidden), zeros_(columns_), rows_(split_.groups * p_.batch), entries_(split_.groups * group_entries_) {}

  bool ready() const { return w_h_ && carry_ && zeros_ && rows_ && entries_; }

  void run(Team& team) {
    for (int64_t k = 0; k < columns_; ++k) *(zeros_ + k) = 0.0f;
    team.march(1, panels_, [&](int64_t, int64_t panel) {
      A::template pack_turned<kVectors>(w_h_ + panel * size_ * kUnits, columns_, p_.hidden - panel * kUnits,
                                        [&](int64_t unit) { return g_.w_h + (panel * kUnits + unit) * columns_; });
    });
    if (split_.by_rows) {
      team.march(1, split_.groups, [&](int64_t, int64_t group) {
        typename A::Unit unit;
        for (int64_t s = p_.time - 1; s >= -1; --s) step(s, group);
      });
    } else {
      team.march(p_.time + 1, split_.groups, [&](int64_t i, int64_t group) {
        typename A::Unit unit;
        step(p_.time - 1 - i, group);
      });
    }
  }

 private:
  // Step -1 stands for the state before all. Every second step goes through the panels from the last to the first.
  void step(int64_t step, int64_t group) {
    int64_t count = 0, begin = split_.first_part(group), end = split_.end_part(group);
    BackRow* rows = rows_ + group * p_.batch;
    for (int64_t i = 0; i < split_.rows_of(group); ++i) {
      int64_t b = split_.row(group, i);
      BackRow row = step < 0 ? initial_row(b) : row_of(step, b);
      // What is past its end has no product.
      if (row.valid || step < 0) rows[count++] = row;
      else for (int64_t panel = begin; panel < end; ++panel) clear(row, panel);
    }
    const bool last = step == p_.time - 1;
    const Left<Entry> following = {entries_ + group * group_entries_, A::stride(1, columns_)};
    if (!last) A::take(following, count, 1, columns_, [&](int64_t r) { return rows[r].following; });
    for (int64_t i = 0; i < end - begin; ++i)
      retreat(rows, following, count, last ? 0 : size_, step % 2 ? end - 1 - i : begin + i);
  }

  void retreat(const BackRow* rows, const Left<Entry>& following, int64_t count, int64_t size, int64_t panel) {
    A::for_tiles(count, [&](int64_t first, auto tile) {
      alignas(64) float d_h[A::kRows * kUnits];
      begin_tile<kVectors>(d_h, tile.value, nullptr);
      A::template add<kVectors, kVectors - 1, kVectors>(d_h, tile, following.below(first), size, w_h_ + panel * size_ * kUnits);
      finish(rows + first, tile.value, d_h, panel);
    });
  }

  // Not inline, for the constants of the cell would take registers from the products.
  __attribute__((noinline)) void finish(const BackRow* rows, int64_t count, const float* d_h, int64_t panel) const {
    for (int64_t r = 0; r < count; ++r)
      for (int v = 0; v < kVectors; ++v, d_h += LANES) {
        int64_t unit = panel * kUnits + v * LANES, n = p_.hidden - unit;
        if (n >= LANES) finish(rows[r], load(d_h), unit, Whole{});
        else if (n > 0) finish(rows[r], load(d_h), unit, n);
      }
  }

  template <class N>
  inline void finish(const BackRow& row, vec d_h, int64_t unit, N n) const {
    d_h += load(row.d_y + unit, n) + load(row.d_h + unit, n);
    if (row.valid) return Cell::backward(row, d_h, unit, n, p_.hidden);
    // The state before all.
    bool passes = Cell::carries && !Cell::memory;
    store(row.d_h0 + unit, passes ? d_h + load(row.d_carry + unit, n) : d_h, n);
    if (Cell::memory) store(row.d_carry_next + unit, load(row.d_carry + unit, n), n);
  }

  // The gradients of the sums of a step past the row's end.
  void clear(const BackRow& row, int64_t panel) const {
    int64_t unit = panel * kUnits, units = p_.hidden - unit < kUnits ? p_.hidden - unit : kUnits;
    for (int gate = 0; gate < Cell::kept; ++gate)
      __builtin_memset(row.d_sums + gate * p_.hidden + unit, 0, units * sizeof(float));
  }

  // Whether gradients flow from step + 1 back to what was before it.
  bool flows(int64_t step, int64_t b) const { return clock_.valid(step + 1, b) && !clock_.starts(step + 1, b); }

  // The gradients of the sums of h W_h in the step after, or before all those of the row's first.
  const float* following(int64_t step, int64_t b) const {
    int64_t before = step < 0 ? clock_.first_step(b) - 1 : step;
    if (!flows(before, b)) return zeros_ + 0;
    int64_t skipped = (Cell::kept - Cell::gates) * p_.hidden;
    return g_.d_sums + (clock_.time_of(before + 1) * p_.batch + b) * Cell::kept * p_.hidden + skipped;
  }

  // What passes by the product, from the step after or from outside.
  const float* carry(int64_t step, int64_t b, bool last) const {
    if (flows(step, b)) return carry_ + b * p_.hidden;
    return Cell::memory && last ? g_.d_c_last + b * p_.hidden : zeros_ + 0;
  }

  BackRow initial_row(int64_t b) const {
    bool empty = clock_.length(b) == 0;
    BackRow row = {};
    row.following = following(-1, b);
    row.d_y = zeros_ + 0;
    row.d_h = empty ? g_.d_h_last + b * p_.hidden : zeros_ + 0;
    row.d_carry = carry(clock_.first_step(b) - 1, b, empty);
    row.d_h0 = g_.d_h0 + b * p_.hidden;
    if (Cell::memory) row.d_carry_next = g_.d_c0 + b * p_.hidden;
    return row;
  }

  BackRow row_of(int64_t step, int64_t b) const {
    int64_t here = (clock_.time_of(step) * p_.batch + b) * p_.hidden;
    bool last = step == clock_.end_step(b) - 1;
    BackRow row = {};
    row.valid = clock_.valid(step, b);
    row.following = following(step, b);
    row.d_y = g_.d_ys + here;
    row.d_h = last && row.valid ? g_.d_h_last + b * p_.hidden : zeros_ + 0;
    row.d_carry = carry(step, b, last);
    row.d_carry_next = carry_ + b * p_.hidden;
    row.y = g_.ys + here;
    row.h = clock_.before(step, b, g_.ys, g_.h0, zeros_ + 0);
    row.saved = g_.saved + here * Cell::kept;
    row.d_sums = g_.d_sums + here * Cell::kept;
    if (!Cell::memory) return row;
    row.c_next = g_.cs + here;
    row.c = clock_.before(step, b, g_.cs, g_.c0, zeros_ + 0);
    return row;
  }

  const Backward& g_;
  const Problem& p_;
  const Clock clock_;
  const int64_t columns_, panels_;
  const Split split_;
  const int64_t size_, group_entries_;
  Array<Number> w_h_;
  Array<float> carry_, zeros_;
  Array<BackRow> rows_;
  Array<Entry> entries_;
};
