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
#include "cells.h"
#include "forward.h"
#include "backward.h"
#include "gradients.h"

// Calls call(Cell{}) for the cell of that kind.
template <class Call>
void with_cell(CellKind kind, const Call& call) {
  switch (kind) {
    case CellKind::kElmanTanh: return call(Elman<true>{});
    case CellKind::kElmanRelu: return call(Elman<false>{});
    case CellKind::kLstm: return call(Lstm{});
    case CellKind::kGru: return call(Gru{});
  }
}

}  // namespace

const Kernels SET = {
    SET_NAME,
    [](const Forward& f, Team& team) {
      with_cell(f.problem.cell, [&](auto cell) { ForwardPass<decltype(cell)>(f, team).run(team); });
    },
    [](const Backward& g, Team& team) {
      with_cell(g.problem.cell, [&](auto cell) { BackwardPass<decltype(cell)>(g, team).run(team); });
    },
    [](const WeightGradient& g, Team& team) {
      with_cell(g.problem.cell, [&](auto cell) { WeightProduct(g, places_of<decltype(cell)>(), team).run(team); });
    },
    [](const InputGradient& g, Team& team) {
      with_cell(g.problem.cell, [&](auto cell) { input_gradient(g, places_of<decltype(cell)>(), team); });
    },
};

}  // namespace seqjax
