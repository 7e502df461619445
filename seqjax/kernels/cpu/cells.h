// The cells: what becomes of the sums of a step, and of the gradient of a state.
//
// For the derivative a step keeps, beside its output: the LSTM its gates (i, f, g, o) and its memory c; the GRU (n, r, z, h W_hn +
// b_n); Elman nothing more. The gradients of the sums take the same places: of the GRU's, the first three belong to x W_x + b and
// the last three to h W_h: `of_x` and `of_h` are the gates of the weights, by these places, and -1 where there is none.

// One row of one step, forwards. Pointers are to the first unit.
struct Row {
  bool valid;
  const float *x, *h, *c;  // the input; the state before the step
  float *y, *c_next;   // after it
  float *saved;        // or null
  float *h_last, *c_last;  // where the last state of the row is wanted, or null
};

// One row of one step, backwards.
struct BackRow {
  bool valid;
  const float* following;  // the gradients of the sums of h W_h in the step after
  const float *y, *h, *c_next, *c;
  const float *d_y, *d_h, *d_carry;  // gradients: of the output; of h from outside; what passes by the product
  const float* saved;
  float *d_sums, *d_carry_next;
  float* d_h0;  // not null for the state before all, which has no d_sums
};

struct Lstm {
  static constexpr int gates = 4, units = 1, slots = 4, last = 3, kept = 4;
  static constexpr int of_x[kept] = {0, 1, 2, 3}, of_h[kept] = {0, 1, 2, 3};
  static constexpr bool memory = true, carries = true;

  template <class N>
  static inline void forward(const Row& row, const float* sums, int64_t u, N n, int64_t hidden) {
    vec i = sigmoid(load(sums)), f = sigmoid(load(sums + LANES)), g = tanh(load(sums + 2 * LANES)),
        o = sigmoid(load(sums + 3 * LANES));
    vec c = f * load(row.c + u, n) + i * g, h = o * tanh(c);
    store(row.y + u, h, n);
    store(row.c_next + u, c, n);
    if (row.saved) {
      store(row.saved + u, i, n);
      store(row.saved + hidden + u, f, n);
      store(row.saved + 2 * hidden + u, g, n);
      store(row.saved + 3 * hidden + u, o, n);
    }
    if (row.h_last) {
      store(row.h_last + u, h, n);
      store(row.c_last + u, c, n);
    }
  }

  template <class N>
  static inline void backward(const BackRow& row, vec d_h, int64_t u, N n, int64_t hidden) {
    vec i = load(row.saved + u, n), f = load(row.saved + hidden + u, n), g = load(row.saved + 2 * hidden + u, n),
        o = load(row.saved + 3 * hidden + u, n);
    vec shown = tanh(load(row.c_next + u, n));
    vec d_c = load(row.d_carry + u, n) + d_h * o * (1.0f - shown * shown);
    store(row.d_sums + u, d_c * g * i * (1.0f - i), n);
    store(row.d_sums + hidden + u, d_c * load(row.c + u, n) * f * (1.0f - f), n);
    store(row.d_sums + 2 * hidden + u, d_c * i * (1.0f - g * g), n);
    store(row.d_sums + 3 * hidden + u, d_h * shown * o * (1.0f - o), n);
    store(row.d_carry_next + u, d_c * f, n);
  }
};

struct Gru {
  static constexpr int gates = 3, units = 1, slots = 4, last = 3, kept = 4;
  static constexpr int of_x[kept] = {2, 0, 1, -1}, of_h[kept] = {-1, 0, 1, 2};
  static constexpr bool memory = false, carries = true;

  template <class N>
  static inline void forward(const Row& row, const float* sums, int64_t u, N n, int64_t hidden) {
    vec r = sigmoid(load(sums)), z = sigmoid(load(sums + LANES)), h_n = load(sums + 3 * LANES),
        new_h = tanh(load(sums + 2 * LANES) + r * h_n);
    vec h = new_h + z * (load(row.h + u, n) - new_h);
    store(row.y + u, h, n);
    if (row.saved) {
      store(row.saved + u, new_h, n);
      store(row.saved + hidden + u, r, n);
      store(row.saved + 2 * hidden + u, z, n);
      store(row.saved + 3 * hidden + u, h_n, n);
    }
    if (row.h_last) store(row.h_last + u, h, n);
  }

  template <class N>
  static inline void backward(const BackRow& row, vec d_h, int64_t u, N n, int64_t hidden) {
    vec new_h = load(row.saved + u, n), r = load(row.saved + hidden + u, n), z = load(row.saved + 2 * hidden + u, n),
        h_n = load(row.saved + 3 * hidden + u, n);
    d_h += load(row.d_carry + u, n);
    vec d_n = d_h * (1.0f - z) * (1.0f - new_h * new_h);
    store(row.d_sums + u, d_n, n);
    store(row.d_sums + hidden + u, d_n * h_n * r * (1.0f - r), n);
    store(row.d_sums + 2 * hidden + u, d_h * (load(row.h + u, n) - new_h) * z * (1.0f - z), n);
    store(row.d_sums + 3 * hidden + u, d_n * r, n);
    store(row.d_carry_next + u, d_h * z, n);
  }
};

template <bool kTanh>
struct Elman {
  static constexpr int gates = 1, units = 4, slots = 4, last = 3, kept = 1;
  static constexpr int of_x[kept] = {0}, of_h[kept] = {0};
  static constexpr bool memory = false, carries = false;

  template <class N>
  static inline void forward(const Row& row, const float* sums, int64_t u, N n, int64_t) {
    vec sum = load(sums), h = kTanh ? tanh(sum) : (sum < 0.0f ? vec{} : sum);
    store(row.y + u, h, n);
    if (row.h_last) store(row.h_last + u, h, n);
  }

  template <class N>
  static inline void backward(const BackRow& row, vec d_h, int64_t u, N n, int64_t) {
    vec y = load(row.y + u, n);
    store(row.d_sums + u, kTanh ? d_h * (1.0f - y * y) : (y > 0.0f ? d_h : vec{}), n);
  }
};

// The places of a cell.
struct Places {
  int gates, kept;
  const int *of_x, *of_h;
};

template <class Cell>
static Places places_of() {
  return {Cell::gates, Cell::kept, Cell::of_x, Cell::of_h};
}

// Where a row stands at a step: steps are counted in the order of reading, times in that of the input.
struct Clock {
  const Problem& p;

  int64_t time_of(int64_t step) const { return p.reverse ? p.time - 1 - step : step; }
  int64_t length(int64_t row) const {
    int64_t length = p.lengths ? p.lengths[row] : p.time;
    return length < 0 ? 0 : length > p.time ? p.time : length;
  }
  int64_t first_step(int64_t row) const { return p.reverse ? p.time - length(row) : 0; }
  int64_t end_step(int64_t row) const { return p.reverse ? p.time : length(row); }
  bool valid(int64_t step, int64_t row) const { return step >= first_step(row) && step < end_step(row); }
  // Of a row of one time, [T, B].
  bool holds(int64_t place) const { return !p.lengths || place / p.batch < length(place % p.batch); }
  bool starts(int64_t step, int64_t row) const { return p.starts && p.starts[time_of(step) * p.batch + row]; }

  // The row of `states` [T, B, H] before a step, given the one before all and a row of zeros.
  const float* before(int64_t step, int64_t row, const float* states, const float* initial, const float* zeros) const {
    if (!valid(step, row) || starts(step, row)) return zeros;
    if (step == first_step(row)) return initial + row * p.hidden;
    return states + (time_of(step - 1) * p.batch + row) * p.hidden;
  }
};
