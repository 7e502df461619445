// The compiled kernels without Python: cases for sanitize.cc and neon.cc.

#pragma once

#include <vector>

#include "team.h"

namespace seqjax {

struct Case {
  CellKind cell;
  int64_t time, batch, inputs, hidden;
  bool reverse, ragged;
};

using Numbers = std::vector<float>;

// What one sequence gives, forwards and backwards; the same numbers go in on every machine.
template <typename Pool>
std::vector<Numbers> run(const Kernels& kernels, const Case& c, Pool& pool) {
  PoolTeam<Pool> team(pool);
  uint32_t random = 1;
  auto draw = [&](int64_t size) {
    Numbers numbers(size);
    for (float& number : numbers) {
      random = random * 1664525u + 1013904223u;
      number = static_cast<float>(static_cast<int32_t>(random)) / 2147483648.0f;
    }
    return numbers;
  };
  const bool lstm = c.cell == CellKind::kLstm, gru = c.cell == CellKind::kGru, elman = !lstm && !gru;
  const int64_t gates = lstm ? 4 : gru ? 3 : 1, kept = elman ? 1 : 4, rows = c.time * c.batch, states = c.batch * c.hidden;
  std::vector<int32_t> lengths(c.batch);
  std::vector<uint8_t> starts(rows);
  for (int64_t i = 0; i < c.batch; ++i) lengths[i] = static_cast<int32_t>(i % (c.time + 1));
  for (int64_t i = 0; i < rows; ++i) starts[i] = i % 5 == 0;
  Problem problem = {c.cell, c.reverse, c.time, c.batch, c.inputs, c.hidden,
                     c.ragged ? lengths.data() : nullptr, c.ragged ? starts.data() : nullptr};

  Numbers xs = draw(rows * c.inputs), w_x = draw(c.inputs * gates * c.hidden), w_h = draw(c.hidden * gates * c.hidden);
  Numbers b = draw(gates * c.hidden), b_n = draw(c.hidden), h0 = draw(states), c0 = draw(states);
  Numbers ys(rows * c.hidden), h_last(states), c_last(states), saved(elman ? 0 : rows * 4 * c.hidden);
  Numbers cs(lstm ? rows * c.hidden : 0);
  kernels.forward({problem, xs.data(), w_x.data(), w_h.data(), b.data(), gru ? b_n.data() : nullptr, h0.data(),
                   lstm ? c0.data() : nullptr, ys.data(), h_last.data(), lstm ? c_last.data() : nullptr,
                   elman ? nullptr : saved.data(), lstm ? cs.data() : nullptr}, team);

  // By weights in int8, nothing kept.
  std::vector<int8_t> int8_x, int8_h;
  for (float w : w_x) int8_x.push_back(static_cast<int8_t>(100 * w));
  for (float w : w_h) int8_h.push_back(static_cast<int8_t>(100 * w));
  Numbers scale(gates * c.hidden, 0.01f), ys_int8(ys.size()), h_int8(states), c_int8(states);
  kernels.forward({problem, xs.data(), nullptr, nullptr, b.data(), gru ? b_n.data() : nullptr, h0.data(),
                   lstm ? c0.data() : nullptr, ys_int8.data(), h_int8.data(), lstm ? c_int8.data() : nullptr, nullptr, nullptr,
                   {int8_x.data(), scale.data()}, {int8_h.data(), scale.data()}}, team);

  Numbers d_ys = draw(rows * c.hidden), d_h = draw(states), d_c = draw(states), d_sums(rows * kept * c.hidden);
  Numbers d_h0(states), d_c0(states), d_w_x(w_x.size()), d_w_h(w_h.size()), d_b(b.size()), d_b_n(b_n.size());
  kernels.backward({problem, d_ys.data(), d_h.data(), lstm ? d_c.data() : nullptr, ys.data(), h0.data(),
                    lstm ? cs.data() : nullptr, lstm ? c0.data() : nullptr, w_h.data(),
                    elman ? nullptr : saved.data(), d_sums.data(), d_h0.data(), lstm ? d_c0.data() : nullptr}, team);
  kernels.weight_gradient({problem, xs.data(), ys.data(), h0.data(), d_sums.data(), d_w_x.data(), d_w_h.data(),
                           d_b.data(), gru ? d_b_n.data() : nullptr}, team);
  // Of inputs alone, as if there were no states.
  Numbers d_alone(w_x.size());
  kernels.weight_gradient({problem, xs.data(), nullptr, nullptr, d_sums.data(), d_alone.data(), nullptr, d_b.data(),
                           gru ? d_b_n.data() : nullptr}, team);
  Numbers d_xs(xs.size());
  kernels.input_gradient({problem, d_sums.data(), w_x.data(), d_xs.data()}, team);
  return {ys, h_last, ys_int8, h_int8, d_sums, d_h0, d_w_x, d_w_h, d_b, d_xs, d_alone};
}

constexpr int64_t kSizes[][4] = {{1, 1, 1, 1}, {0, 3, 2, 5}, {3, 7, 5, 17}, {5, 33, 20, 37}, {2, 2, 130, 200}, {1, 3, 700, 20}, {2, 4, 7, 530}};

// Every cell at odd sizes, both ways, with and without ragged rows.
inline std::vector<Case> cases() {
  std::vector<Case> all;
  for (int kind = 0; kind < 4; ++kind) {
    for (auto [time, batch, inputs, hidden] : kSizes) {
      for (int options = 0; options < 4; ++options) {
        all.push_back({static_cast<CellKind>(kind), time, batch, inputs, hidden, (options & 1) != 0, (options & 2) != 0});
      }
    }
  }
  return all;
}

}  // namespace seqjax
