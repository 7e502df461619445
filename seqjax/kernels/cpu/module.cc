// XLA's door to the kernels: handlers of its foreign function interface, and the Python module that hands them out.

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "team.h"
#include "xla/ffi/api/ffi.h"

namespace seqjax {
namespace {

namespace ffi = xla::ffi;
using Numbers = ffi::Buffer<ffi::F32>;
using Lengths = ffi::Buffer<ffi::S32>;
using Starts = ffi::Buffer<ffi::PRED>;
using Result = ffi::Result<Numbers>;

const Kernels& chosen() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return kAvx512;
  if (avx2) return kAvx2;
#endif
  return kBaseline;
}

const Kernels* kernels = &chosen();

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

Problem problem(int32_t cell, bool reverse, const Numbers& states, int64_t inputs, const Lengths& lengths,
                const Starts& starts) {
  auto shape = states.dimensions();
  return {static_cast<CellKind>(cell), reverse, shape[0], shape[1], inputs, shape[2],
          lengths.element_count() ? lengths.typed_data() : nullptr,
          starts.element_count() ? reinterpret_cast<const uint8_t*>(starts.typed_data()) : nullptr};
}

ffi::Error forward(ffi::ThreadPool pool, int32_t cell, bool reverse, Numbers w_x, Numbers w_h, Numbers b, Numbers b_n,
                   Numbers xs, Numbers h0, Numbers c0, Lengths lengths, Starts starts, Result ys, Result h_last,
                   Result c_last, Result saved, Result cs) {
  PoolTeam<ffi::ThreadPool> team(pool);
  for (Result* result : {&ys, &saved, &cs}) expect(*result);
  Forward call = {problem(cell, reverse, *ys, xs.dimensions()[2], lengths, starts),
                  xs.typed_data(), w_x.typed_data(), w_h.typed_data(), b.typed_data(), given(b_n),
                  h0.typed_data(), given(c0), ys->typed_data(), h_last->typed_data(), given(c_last),
                  given(saved), given(cs)};
  kernels->forward(call, team);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, int32_t cell, bool reverse, Numbers w_h, Numbers d_ys,
                    Numbers d_h_last, Numbers d_c_last, Numbers ys, Numbers h0, Numbers cs, Numbers c0, Numbers saved,
                    Lengths lengths, Starts starts, Result d_sums, Result d_h0, Result d_c0) {
  PoolTeam<ffi::ThreadPool> team(pool);
  if (d_sums->typed_data() != saved.typed_data()) expect(d_sums);
  Backward call = {problem(cell, reverse, ys, 0, lengths, starts),
                   d_ys.typed_data(), d_h_last.typed_data(), given(d_c_last), ys.typed_data(), h0.typed_data(),
                   given(cs), given(c0), w_h.typed_data(), given(saved), d_sums->typed_data(), d_h0->typed_data(),
                   given(d_c0)};
  kernels->backward(call, team);
  return ffi::Error::Success();
}

ffi::Error weight_gradient(ffi::ThreadPool pool, int32_t cell, bool reverse, Numbers xs, Numbers ys, Numbers h0,
                           Numbers d_sums, Lengths lengths, Starts starts, Result d_w_x, Result d_w_h, Result d_b,
                           Result d_b_n) {
  PoolTeam<ffi::ThreadPool> team(pool);
  for (Result* result : {&d_w_x, &d_w_h}) expect(*result);
  WeightGradient call = {problem(cell, reverse, ys, xs.dimensions()[2], lengths, starts),
                         xs.typed_data(), ys.typed_data(), h0.typed_data(), d_sums.typed_data(),
                         d_w_x->typed_data(), d_w_h->typed_data(), d_b->typed_data(), given(d_b_n)};
  kernels->weight_gradient(call, team);
  return ffi::Error::Success();
}

ffi::Error input_gradient(ffi::ThreadPool pool, int32_t cell, int64_t hidden, Numbers w_x, Numbers d_sums,
                          Result d_xs) {
  PoolTeam<ffi::ThreadPool> team(pool);
  auto shape = d_xs->dimensions();
  expect(d_xs);
  Problem p = {static_cast<CellKind>(cell), false, shape[0], shape[1], shape[2], hidden, nullptr, nullptr};
  kernels->input_gradient({p, d_sums.typed_data(), w_x.typed_data(), d_xs->typed_data()}, team);
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_forward, forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_backward, backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_weight_gradient, weight_gradient,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<bool>("reverse")
                                  .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                                  .Arg<Lengths>().Arg<Starts>()
                                  .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(handle_input_gradient, input_gradient,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Attr<int32_t>("cell").Attr<int64_t>("hidden")
                                  .Arg<Numbers>().Arg<Numbers>().Ret<Numbers>());

// A dict of the handlers, each in a capsule, by the name that it is registered under.
PyObject* targets(PyObject*, PyObject*) {
  const std::pair<const char*, XLA_FFI_Handler*> handlers[] = {
      {"seqjax_forward", handle_forward},
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

PyObject* instruction_set(PyObject*, PyObject*) { return PyUnicode_FromString(kernels->name); }

// Tests run every set that the CPU has: the name of the set to use from now on.
PyObject* use(PyObject*, PyObject* name) {
  const Kernels* best = &chosen();
#if defined(__x86_64__)
  const Kernels* all[] = {&kAvx512, &kAvx2, &kBaseline};
#else
  const Kernels* all[] = {&kBaseline};
#endif
  bool able = false;
  for (const Kernels* set : all) {
    able = able || set == best;
    if (able && PyUnicode_CompareWithASCIIString(name, set->name) == 0) {
      kernels = set;
      Py_RETURN_NONE;
    }
  }
  PyErr_SetString(PyExc_ValueError, "this CPU has no such instruction set");
  return nullptr;
}

PyMethodDef methods[] = {
    {"targets", targets, METH_NOARGS, "The handlers of XLA's foreign function interface, by name."},
    {"instruction_set", instruction_set, METH_NOARGS, "The instruction set in use."},
    {"use", use, METH_O, "Takes another instruction set that this CPU has, for tests."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace seqjax

PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&seqjax::module); }
