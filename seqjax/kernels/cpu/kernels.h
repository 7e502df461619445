// The kernels of one instruction set: included once for each, with SET, LANES and ROWS defined. A tile of ROWS rows and 4
// vectors of LANES floats must fit in the registers. All is static, so no other set's file can lend its code.

#include "api.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seqjax {
namespace {

#include "simd.h"
#include "panels.h"
#include "direct.h"
#include "cells.h"
#include "forward.h"
#include "backward.h"
#include "gradients.h"

// What call(Cell{}) says for the cell of that kind.
template <class Call>
bool with_cell(CellKind kind, const Call& call) {
  switch (kind) {
    case CellKind::kElmanTanh: return call(Elman<true>{});
    case CellKind::kElmanRelu: return call(Elman<false>{});
    case CellKind::kLstm: return call(Lstm{});
    case CellKind::kGru: return call(Gru{});
  }
  return false;
}

template <class Pass>
bool run(Pass&& pass, Team& team) {
  if (!pass.ready()) return false;
  pass.run(team);
  return true;
}

}  // namespace

const Kernels SET = {
    SET_NAME,
    [](const Forward& f, Team& team) {
      return with_cell(f.problem.cell, [&](auto cell) { return run(ForwardPass<decltype(cell)>(f, team), team); });
    },
    [](const Backward& g, Team& team) {
      return with_cell(g.problem.cell, [&](auto cell) { return run(BackwardPass<decltype(cell)>(g, team), team); });
    },
    [](const WeightGradient& g, Team& team) {
      return with_cell(g.problem.cell, [&](auto cell) {
        return run(WeightProduct(g, places_of<decltype(cell)>(), team), team);
      });
    },
    [](const InputGradient& g, Team& team) {
      return with_cell(g.problem.cell, [&](auto cell) {
        return input_gradient(g, places_of<decltype(cell)>(), team);
      });
    },
};

}  // namespace seqjax
