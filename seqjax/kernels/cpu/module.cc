// XLA's door to the kernels: handlers of its foreign function interface, and the Python module that hands them out.

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <initializer_list>
#include <new>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "sets.h"
#include "team.h"
#include "xla/ffi/api/ffi.h"

namespace seqjax {
namespace {

namespace ffi = xla::ffi;
using Numbers = ffi::Buffer<ffi::F32>;
using Int8Numbers = ffi::Buffer<ffi::S8>;
using Lengths = ffi::Buffer<ffi::S32>;
using Starts = ffi::Buffer<ffi::PRED>;
using Result = ffi::Result<Numbers>;

const Set* set = best();

// Whether the set multiplies bfloat16 numbers; it multiplies bytes as well.
bool rounds() { return set->rounded != &kBaselineRounded; }

const Kernels* kernels(bool rounded) { return rounded ? set->rounded : set->exact; }

// Absent inputs and outputs come as buffers without elements.
const float* given(const Numbers& buffer) { return buffer.element_count() ? buffer.typed_data() : nullptr; }
float* given(Result& buffer) { return buffer->element_count() ? buffer->typed_data() : nullptr; }

// Fresh memory of some megabytes costs a page fault for every 4 KB, unless it may come in larger pages; so may then what
// shares the pages at its ends.
void expect(Result& result) {
#if defined(__linux__)
  constexpr uintptr_t kHuge = uintptr_t{1} << 21;
  uintptr_t begin = reinterpret_cast<uintptr_t>(result->typed_data()), end = begin + result->size_bytes();
  if (end - begin < kHuge) return;
  begin &= ~(kHuge - 1);
  end = (end + kHuge - 1) & ~(kHuge - 1);
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

// A shape of up to three axes.
struct Shape {
  int64_t rank, sizes[3];
};

template <class... Sizes>
Shape shape(Sizes... sizes) {
  return {sizeof...(sizes), {sizes...}};
}

// A buffer, by its name in errors, and the shape that it must have.
struct Operand {
  const char* name;
  ffi::Span<const int64_t> is;
  Shape wanted;
};

const Shape kAbsent = shape(int64_t{0});

bool matches(ffi::Span<const int64_t> is, const Shape& wanted) {
  if (static_cast<int64_t>(is.size()) != wanted.rank) return false;
  for (int64_t axis = 0; axis < wanted.rank; ++axis)
    if (is[axis] != wanted.sizes[axis]) return false;
  return true;
}

// What a buffer that may be absent must be: that, or else present.
template <class Buffer>
Shape optional(const Buffer& buffer, const Shape& present) {
  return matches(buffer.dimensions(), kAbsent) ? kAbsent : present;
}

// The size of an axis; -1, which no shape has, where there is no such axis.
template <class Buffer>
int64_t size(const Buffer& buffer, size_t axis) {
  return axis < buffer.dimensions().size() ? buffer.dimensions()[axis] : -1;
}

template <class Sizes>
std::string text(const Sizes* sizes, int64_t rank) {
  std::string all = "[";
  for (int64_t axis = 0; axis < rank; ++axis) all += (axis ? ", " : "") + std::to_string(sizes[axis]);
  return all + "]";
}

// The first buffer whose shape is not the one that it must have.
ffi::Error checked(const char* kernel, std::initializer_list<Operand> operands) {
  for (const Operand& operand : operands) {
    if (matches(operand.is, operand.wanted)) continue;
    return ffi::Error::InvalidArgument(std::string(kernel) + " was given " + operand.name + " " +
                                       text(operand.is.begin(), operand.is.size()) + "; the others want " +
                                       text(operand.wanted.sizes, operand.wanted.rank));
  }
  return ffi::Error::Success();
}

// What a call returns: its error, or that of memory that was short.
template <class Call>
ffi::Error finished(const Call& call) {
  try {
    if (call()) return ffi::Error::Success();
  } catch (const std::bad_alloc&) {
  }
  return ffi::Error(ffi::ErrorCode::kResourceExhausted, "the compiled kernels had too little memory");
}

// A cell by its number: how many gates it has, and how many numbers it keeps for the derivative.
struct Kind {
  bool known, lstm, gru;
  int64_t gates, kept;

  explicit Kind(int32_t cell)
      : known(0 <= cell && cell <= static_cast<int32_t>(CellKind::kGru)), lstm(cell == int32_t(CellKind::kLstm)),
        gru(cell == int32_t(CellKind::kGru)), gates(lstm ? 4 : gru ? 3 : 1), kept(lstm || gru ? 4 : 1) {}

  ffi::Error error() const {
    return known ? ffi::Error::Success() : ffi::Error::InvalidArgument("the compiled kernels know no such cell");
  }
};

Problem problem(int32_t cell, bool reverse, const Shape& shape, int64_t hidden, const Lengths& lengths, const Starts& starts) {
  auto [time, batch, inputs] = shape.sizes;
  return {static_cast<CellKind>(cell), reverse, time, batch, inputs, hidden,
          lengths.element_count() ? lengths.typed_data() : nullptr,
          starts.element_count() ? reinterpret_cast<const uint8_t*>(starts.typed_data()) : nullptr};
}

ffi::Error forward(ffi::ThreadPool pool, int32_t cell, bool reverse, bool rounded, Numbers w_x, Numbers w_h, Numbers b, Numbers b_n,
                   Numbers xs, Numbers h0, Numbers c0, Lengths lengths, Starts starts, Result ys, Result h_last,
                   Result c_last, Result saved, Result cs) {
  const Kind kind(cell);
  if (ffi::Error error = kind.error(); error.failure()) return error;
  const int64_t T = size(xs, 0), B = size(xs, 1), I = size(xs, 2), H = size(h0, 1), columns = kind.gates * H;
  // Both of what is kept for the derivative, or neither.
  const bool keeps = kind.kept > 1 && !matches(saved->dimensions(), kAbsent);
  ffi::Error error = checked("seqjax_forward", {
      {"xs", xs.dimensions(), shape(T, B, I)},
      {"w_x", w_x.dimensions(), shape(I, columns)},
      {"w_h", w_h.dimensions(), shape(H, columns)},
      {"b", b.dimensions(), shape(columns)},
      {"b_n", b_n.dimensions(), kind.gru ? shape(H) : kAbsent},
      {"h0", h0.dimensions(), shape(B, H)},
      {"c0", c0.dimensions(), kind.lstm ? shape(B, H) : kAbsent},
      {"lengths", lengths.dimensions(), optional(lengths, shape(B))},
      {"starts", starts.dimensions(), optional(starts, shape(T, B))},
      {"ys", ys->dimensions(), shape(T, B, H)},
      {"h_last", h_last->dimensions(), shape(B, H)},
      {"c_last", c_last->dimensions(), kind.lstm ? shape(B, H) : kAbsent},
      {"saved", saved->dimensions(), keeps ? shape(T, B, kind.kept * H) : kAbsent},
      {"cs", cs->dimensions(), keeps && kind.lstm ? shape(T, B, H) : kAbsent},
  });
  if (error.failure()) return error;
  for (Result* result : {&ys, &saved, &cs}) expect(*result);
  Forward call = {problem(cell, reverse, shape(T, B, I), H, lengths, starts),
                  xs.typed_data(), w_x.typed_data(), w_h.typed_data(), b.typed_data(), given(b_n),
                  h0.typed_data(), given(c0), ys->typed_data(), h_last->typed_data(), given(c_last),
                  given(saved), given(cs)};
  return finished([&] {
    PoolTeam<ffi::ThreadPool> team(pool);
    return kernels(rounded)->forward(call, team);
  });
}

// A few steps by weights in int8, a scale for each column; nothing is kept for the derivative.
ffi::Error forward_int8(ffi::ThreadPool pool, int32_t cell, bool reverse, Int8Numbers w_x, Numbers scale_x, Int8Numbers w_h,
                        Numbers scale_h, Numbers b, Numbers b_n, Numbers xs, Numbers h0, Numbers c0, Lengths lengths,
                        Starts starts, Result ys, Result h_last, Result c_last) {
  const Kind kind(cell);
  if (ffi::Error error = kind.error(); error.failure()) return error;
  const int64_t T = size(xs, 0), B = size(xs, 1), I = size(xs, 2), H = size(h0, 1), columns = kind.gates * H;
  const Shape memory = kind.lstm ? shape(B, H) : kAbsent;
  ffi::Error error = checked("seqjax_forward_int8", {
      {"xs", xs.dimensions(), shape(T, B, I)},
      {"w_x", w_x.dimensions(), shape(I, columns)},
      {"scale_x", scale_x.dimensions(), shape(columns)},
      {"w_h", w_h.dimensions(), shape(H, columns)},
      {"scale_h", scale_h.dimensions(), shape(columns)},
      {"b", b.dimensions(), shape(columns)},
      {"b_n", b_n.dimensions(), kind.gru ? shape(H) : kAbsent},
      {"h0", h0.dimensions(), shape(B, H)},
      {"c0", c0.dimensions(), memory},
      {"lengths", lengths.dimensions(), optional(lengths, shape(B))},
      {"starts", starts.dimensions(), optional(starts, shape(T, B))},
      {"ys", ys->dimensions(), shape(T, B, H)},
      {"h_last", h_last->dimensions(), shape(B, H)},
      {"c_last", c_last->dimensions(), memory},
  });
  if (error.failure()) return error;
  Forward call = {problem(cell, reverse, shape(T, B, I), H, lengths, starts),
                  xs.typed_data(), nullptr, nullptr, b.typed_data(), given(b_n),
                  h0.typed_data(), given(c0), ys->typed_data(), h_last->typed_data(), given(c_last),
                  nullptr, nullptr, {w_x.typed_data(), scale_x.typed_data()}, {w_h.typed_data(), scale_h.typed_data()}};
  return finished([&] {
    PoolTeam<ffi::ThreadPool> team(pool);
    return (rounds() ? set->rounded : set->exact)->forward(call, team);
  });
}

ffi::Error backward(ffi::ThreadPool pool, int32_t cell, bool reverse, bool rounded, Numbers w_h, Numbers d_ys,
                    Numbers d_h_last, Numbers d_c_last, Numbers ys, Numbers h0, Numbers cs, Numbers c0, Numbers saved,
                    Lengths lengths, Starts starts, Result d_sums, Result d_h0, Result d_c0) {
  const Kind kind(cell);
  if (ffi::Error error = kind.error(); error.failure()) return error;
  const int64_t T = size(ys, 0), B = size(ys, 1), H = size(ys, 2), kept = kind.kept * H;
  const Shape state = kind.lstm ? shape(B, H) : kAbsent;
  ffi::Error error = checked("seqjax_backward", {
      {"ys", ys.dimensions(), shape(T, B, H)},
      {"w_h", w_h.dimensions(), shape(H, kind.gates * H)},
      {"d_ys", d_ys.dimensions(), shape(T, B, H)},
      {"d_h_last", d_h_last.dimensions(), shape(B, H)},
      {"d_c_last", d_c_last.dimensions(), state},
      {"h0", h0.dimensions(), shape(B, H)},
      {"cs", cs.dimensions(), kind.lstm ? shape(T, B, H) : kAbsent},
      {"c0", c0.dimensions(), state},
      {"saved", saved.dimensions(), kind.kept > 1 ? shape(T, B, kept) : kAbsent},
      {"lengths", lengths.dimensions(), optional(lengths, shape(B))},
      {"starts", starts.dimensions(), optional(starts, shape(T, B))},
      {"d_sums", d_sums->dimensions(), shape(T, B, kept)},
      {"d_h0", d_h0->dimensions(), shape(B, H)},
      {"d_c0", d_c0->dimensions(), state},
  });
  if (error.failure()) return error;
  if (d_sums->typed_data() != saved.typed_data()) expect(d_sums);
  Backward call = {problem(cell, reverse, shape(T, B, int64_t{0}), H, lengths, starts),
                   d_ys.typed_data(), d_h_last.typed_data(), given(d_c_last), ys.typed_data(), h0.typed_data(),
                   given(cs), given(c0), w_h.typed_data(), given(saved), d_sums->typed_data(), d_h0->typed_data(),
                   given(d_c0)};
  return finished([&] {
    PoolTeam<ffi::ThreadPool> team(pool);
    return kernels(rounded)->backward(call, team);
  });
}

ffi::Error weight_gradient(ffi::ThreadPool pool, int32_t cell, bool reverse, bool rounded, Numbers xs, Numbers ys, Numbers h0,
                           Numbers d_sums, Lengths lengths, Starts starts, Result d_w_x, Result d_w_h, Result d_b,
                           Result d_b_n) {
  const Kind kind(cell);
  if (ffi::Error error = kind.error(); error.failure()) return error;
  const int64_t T = size(xs, 0), B = size(xs, 1), I = size(xs, 2), columns = size(*d_w_x, 1), H = columns / kind.gates;
  // Sums of inputs alone have no states.
  const bool recurs = !matches(d_w_h->dimensions(), kAbsent);
  ffi::Error error = checked("seqjax_weight_gradient", {
      {"xs", xs.dimensions(), shape(T, B, I)},
      {"d_sums", d_sums.dimensions(), shape(T, B, kind.kept * H)},
      {"ys", ys.dimensions(), recurs ? shape(T, B, H) : kAbsent},
      {"h0", h0.dimensions(), recurs ? shape(B, H) : kAbsent},
      {"lengths", lengths.dimensions(), optional(lengths, shape(B))},
      {"starts", starts.dimensions(), optional(starts, shape(T, B))},
      {"d_w_x", d_w_x->dimensions(), shape(I, kind.gates * H)},
      {"d_w_h", d_w_h->dimensions(), recurs ? shape(H, columns) : kAbsent},
      {"d_b", d_b->dimensions(), shape(columns)},
      {"d_b_n", d_b_n->dimensions(), kind.gru ? shape(H) : kAbsent},
  });
  if (error.failure()) return error;
  for (Result* result : {&d_w_x, &d_w_h}) expect(*result);
  WeightGradient call = {problem(cell, reverse, shape(T, B, I), H, lengths, starts),
                         xs.typed_data(), ys.typed_data(), h0.typed_data(), d_sums.typed_data(),
                         d_w_x->typed_data(), given(d_w_h), d_b->typed_data(), given(d_b_n)};
  return finished([&] {
    PoolTeam<ffi::ThreadPool> team(pool);
    return kernels(rounded)->weight_gradient(call, team);
  });
}

ffi::Error input_gradient(ffi::ThreadPool pool, int32_t cell, bool rounded, int64_t hidden, Numbers w_x, Numbers d_sums,
                          Lengths lengths, Result d_xs) {
  const Kind kind(cell);
  if (ffi::Error error = kind.error(); error.failure()) return error;
  const int64_t T = size(*d_xs, 0), B = size(*d_xs, 1), I = size(*d_xs, 2);
  ffi::Error error = checked("seqjax_input_gradient", {
      {"d_xs", d_xs->dimensions(), shape(T, B, I)},
      {"w_x", w_x.dimensions(), shape(I, kind.gates * hidden)},
      {"d_sums", d_sums.dimensions(), shape(T, B, kind.kept * hidden)},
      {"lengths", lengths.dimensions(), optional(lengths, shape(B))},
  });
  if (error.failure()) return error;
  expect(d_xs);
  // Which times of a row are padding does not depend on the order of reading.
  const int32_t* ends = lengths.element_count() ? lengths.typed_data() : nullptr;
  Problem p = {static_cast<CellKind>(cell), false, T, B, I, hidden, ends, nullptr};
  InputGradient call = {p, d_sums.typed_data(), w_x.typed_data(), d_xs->typed_data()};
  return finished([&] {
    PoolTeam<ffi::ThreadPool> team(pool);
    return kernels(rounded)->input_gradient(call, team);
  });
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_forward, forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse").Attr<bool>("rounded")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_forward_int8, forward_int8,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse")
                                  .Arg<Int8Numbers>().Arg<Numbers>().Arg<Int8Numbers>().Arg<Numbers>()
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_backward, backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse").Attr<bool>("rounded")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_weight_gradient, weight_gradient,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse").Attr<bool>("rounded")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_input_gradient, input_gradient,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("rounded").Attr<int64_t>("hidden")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Lengths>().Ret<Numbers>());

// A dict of the handlers, each in a capsule, by the name that it is registered under.
PyObject* targets(PyObject*, PyObject*) {
  const std::pair<const char*, XLA_FFI_Handler*> handlers[] = {
      {"seqjax_forward", handle_forward},
      {"seqjax_forward_int8", handle_forward_int8},
      {"seqjax_backward", handle_backward},
      {"seqjax_weight_gradient", handle_weight_gradient},
      {"seqjax_input_gradient", handle_input_gradient},
  };
  PyObject* found = PyDict_New();
  for (auto [name, handler] : handlers) {
    PyObject* capsule = found ? PyCapsule_New(reinterpret_cast<void*>(handler), nullptr, nullptr) : nullptr;
    if (!capsule || PyDict_SetItemString(found, name, capsule) < 0) {
      Py_XDECREF(capsule);
      Py_XDECREF(found);
      return nullptr;
    }
    Py_DECREF(capsule);
  }
  return found;
}

PyObject* instruction_set(PyObject*, PyObject*) { return PyUnicode_FromString(set->name); }

PyObject* tell_rounds(PyObject*, PyObject*) { return PyBool_FromLong(rounds()); }

// Tests run every set that the CPU has: the name of the set to use from now on.
PyObject* use(PyObject*, PyObject* name) {
  for (const Set& each : kSets) {
    if (&each < best() || PyUnicode_CompareWithASCIIString(name, each.name) != 0) continue;
    set = &each;
    Py_RETURN_NONE;
  }
  PyErr_SetString(PyExc_ValueError, "this CPU has no such instruction set");
  return nullptr;
}

PyMethodDef methods[] = {
    {"targets", targets, METH_NOARGS, "The handlers of XLA's foreign function interface, by name."},
    {"instruction_set", instruction_set, METH_NOARGS, "The instruction set in use."},
    {"rounds", tell_rounds, METH_NOARGS, "Whether the instruction set in use multiplies bfloat16 numbers."},
    {"use", use, METH_O, "Takes another instruction set that this CPU has, for tests."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace seqjax

PyMODINIT_FUNC PyInit__native() {
  PyObject* made = PyModule_Create(&seqjax::module);
  // One more with every change of what a handler takes or gives: `seqjax/kernels/native.py` knows the same number.
  if (made && PyModule_AddIntConstant(made, "CALLS", 5) < 0) Py_CLEAR(made);
  return made;
}
