// What the instruction sets share: the description of one call, and the team of threads that does it.
//
// Everything here is plain data and pure interface: a template or an inline function of the standard library that one
// instruction set's file compiled could be the copy that the linker keeps for all, and would fault on an older CPU.
#pragma once

#include <cstdint>

namespace seqjax {

enum class CellKind : int32_t { kElmanTanh, kElmanRelu, kLstm, kGru };

// A sequence as every kernel sees it, time-major; B is the batch, I the features of an input, H the hidden units.
struct Problem {
  CellKind cell;
  bool reverse;
  int64_t time, batch, inputs, hidden;
  const int32_t* lengths;  // [B], or null where all steps are valid
  const uint8_t* starts;   // [T, B], true where the state returns to zero before the step; or null
};

// Weights as whole numbers, of which a scale for each column makes the weights; or nulls.
struct Int8Weights {
  const int8_t* numbers;
  const float* scale;
};

struct Forward {
  Problem problem;
  const float *xs, *w_x, *w_h, *b, *b_n;  // [T, B, I], [I, GH], [H, GH], [GH]; b_n [H] for the GRU, else null
  const float *h0, *c0;                   // [B, H]; c0 for the LSTM, else null
  float *ys, *h_last, *c_last;            // [T, B, H], [B, H], [B, H]
  float *saved, *cs;                      // what the derivative needs, or null: see cells.h
  Int8Weights int8_x, int8_h;             // in place of w_x and w_h
};

struct Backward {
  Problem problem;
  const float *d_ys, *d_h_last, *d_c_last;  // [T, B, H], [B, H], [B, H]
  const float *ys, *h0, *cs, *c0, *w_h;
  const float* saved;
  float* d_sums;       // [T, B, 4H], [T, B, H] for Elman; may be `saved` itself
  float *d_h0, *d_c0;  // [B, H]
};

struct WeightGradient {
  Problem problem;
  const float *xs, *ys, *h0, *d_sums;
  float *d_w_x, *d_w_h, *d_b, *d_b_n;  // as the parameters themselves; d_w_h null where there are no states
};

struct InputGradient {
  Problem problem;
  const float *d_sums, *w_x;
  float* d_xs;  // [T, B, I]
};

// Threads that do the groups of each step, and begin a step when all groups of the one before are done.
class Team {
 public:
  using Work = void (*)(const void* context, int64_t step, int64_t group);

  virtual int64_t threads() const = 0;
  virtual void run(int64_t steps, int64_t groups, Work work, const void* context) = 0;

  // Calls work(step, group) for all pairs.
  template <class Call>
  void march(int64_t steps, int64_t groups, const Call& call) {
    run(steps, groups, [](const void* c, int64_t s, int64_t g) { (*static_cast<const Call*>(c))(s, g); }, &call);
  }

 protected:
  ~Team() = default;
};

// Kernels of one arithmetic by one instruction set; each says false where memory was short, and then nothing was computed.
struct Kernels {
  bool (*forward)(const Forward&, Team&);
  bool (*backward)(const Backward&, Team&);
  bool (*weight_gradient)(const WeightGradient&, Team&);
  bool (*input_gradient)(const InputGradient&, Team&);
};

// Products in float32, and of numbers rounded to bfloat16.
extern const Kernels kBaseline, kBaselineRounded;
#if defined(__x86_64__)
extern const Kernels kAvx2, kAvx512, kAvx512Rounded, kAmxRounded;
#endif

}  // namespace seqjax
