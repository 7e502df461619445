// The products of Bfloat16 by AMX: two tiles of rows by two of columns at a time.
struct Bfloat16 : RoundedSides {
  static constexpr int64_t kRows = 32, kAhead = 2 * kRows;

  // The tiles of a thread, all of 16 rows of 64 bytes, while it multiplies.
  struct Unit {
    Unit() {
      struct {
        uint8_t palette = 1, start = 0, none[14] = {};
        uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
      } shapes;
      asm volatile("" ::"r"(&shapes) : "memory");  // the intrinsic says of a few bytes alone that it reads them
      _tile_loadconfig(&shapes);
    }
    ~Unit() { _tile_release(); }
    Unit(const Unit&) = delete;
  };

  struct Some {
    int64_t value;
  };

  template <class Call>
  static void for_tiles(int64_t rows, const Call& call) {
    for (int64_t first = 0; first < rows; first += kRows) call(first, Some{rows - first < kRows ? rows - first : kRows});
  }

  template <int V, int LAST, int S>
  static void add(float* tile, Some rows, const Left<Entry>& left, int64_t size, const uint16_t* panel) {
    if (rows.value > 16) add_pairs<true, V, LAST, S>(tile, left, size, panel);
    else add_pairs<false, V, LAST, S>(tile, left, size, panel);
  }

  template <bool kTwoRows, int V, int LAST, int S, int kFirst = 0>
  static void add_pairs(float* tile, const Left<Entry>& left, int64_t size, const uint16_t* panel) {
    if constexpr (kFirst < V) {
      constexpr bool kTwo = kFirst + 1 < V;
      constexpr int kSecond = kFirst + 1, to = kFirst == V - 1 ? LAST : kFirst, to_second = kSecond == V - 1 ? LAST : kSecond;
      add_block<kTwoRows, kTwo>(tile + to * LANES, tile + to_second * LANES, S * LANES * sizeof(float), left, size,
                                panel + 2 * kFirst * LANES, V * 2 * LANES);
      add_pairs<kTwoRows, V, LAST, S, kFirst + 2>(tile, left, size, panel);
    }
  }

  // Adds to one or two tiles, and to those of the next 16 rows. Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 columns.
  template <bool kTwoRows, bool kTwo>
  static void add_block(float* first, float* second, int64_t stride, const Left<Entry>& left, int64_t size, const uint16_t* panel,
                        int64_t width) {
    const int64_t below = 16 * stride / sizeof(float), row = left.stride * sizeof(Entry), column = width * sizeof(Number);
    const uint16_t* rows = left.begin;
    asm volatile("" ::: "memory");  // what was written before is read by the tiles
    _tile_loadd(0, first, stride);
    if constexpr (kTwo) _tile_loadd(1, second, stride);
    if constexpr (kTwoRows) _tile_loadd(2, first + below, stride);
    if constexpr (kTwoRows && kTwo) _tile_loadd(3, second + below, stride);
    for (int64_t k = 0; k < size; k += kDepth, panel += kDepth / 2 * width) {
      _tile_loadd(4, rows + k, row);
      _tile_loadd(6, panel, column);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (kTwo) {
        _tile_loadd(7, panel + 2 * LANES, column);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (kTwoRows) {
        _tile_loadd(5, rows + 16 * left.stride + k, row);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (kTwo) _tile_dpbf16ps(3, 5, 7);
      }
    }
    _tile_stored(0, first, stride);
    if constexpr (kTwo) _tile_stored(1, second, stride);
    if constexpr (kTwoRows) _tile_stored(2, first + below, stride);
    if constexpr (kTwoRows && kTwo) _tile_stored(3, second + below, stride);
    asm volatile("" ::: "memory");
  }

  template <int V>
  static void add_turned(float* tile, Some rows, const Number* left, int64_t row, int64_t size, const Number* panel) {
    add<V, V - 1, V>(tile, rows, turned_rows(left, row), size, panel);
  }
};
