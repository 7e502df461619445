// The kernels of one instruction set: included once for each, with LANES and ROWS defined, and the names under which it offers
// them: SET for products in float32, ROUNDED for those in bfloat16, or both. A tile of ROWS rows and 4 vectors of LANES floats
// must fit in the registers. All is static, so no other set's file can lend its code.

#include "api.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seqjax {
namespace {

#include "simd.h"
#include "panels.h"
#include "direct.h"
#include "int8.h"
#include "cells.h"
#include "forward.h"
#include "backward.h"
#include "gradients.h"
#if defined(ROUNDED)
#include "bfloat16.h"
#endif

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

// Those whose products are computed as A does.
template <class A>
constexpr Kernels kernels_of() {
  return {
      [](const Forward& f, Team& team) {
        return with_cell(f.problem.cell, [&](auto cell) { return run(ForwardPass<decltype(cell), A>(f, team), team); });
      },
      [](const Backward& g, Team& team) {
        return with_cell(g.problem.cell, [&](auto cell) { return run(BackwardPass<decltype(cell), A>(g, team), team); });
      },
      [](const WeightGradient& g, Team& team) {
        return with_cell(g.problem.cell, [&](auto cell) {
          return run(WeightProduct<A>(g, places_of<decltype(cell)>(), team), team);
        });
      },
      [](const InputGradient& g, Team& team) {
        return with_cell(g.problem.cell, [&](auto cell) {
          return input_gradient<A>(g, places_of<decltype(cell)>(), team);
        });
      },
  };
}

}  // namespace

#if defined(SET)
const Kernels SET = kernels_of<Float32>();
#endif
#if defined(ROUNDED)
const Kernels ROUNDED = kernels_of<Bfloat16>();
#endif

}  // namespace seqjax
