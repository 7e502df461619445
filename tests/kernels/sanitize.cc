// The compiled kernels without Python, for sanitizers: every cell and instruction set at odd sizes, from several threads
// at once over one pool, each array exactly as large as it must be. See sanitize.sh.

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "team.h"

namespace {

using namespace seqjax;

// As XLA's: whoever schedules does not wait.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    awake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  int64_t num_threads() const { return static_cast<int64_t>(threads_.size()); }

  void Schedule(std::function<void()> task) {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    awake_.notify_one();
  }

 private:
  void serve() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        awake_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable awake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  bool closed_ = false;
};

struct Case {
  CellKind cell;
  int64_t time, batch, inputs, hidden;
  bool reverse, ragged;
};

using Numbers = std::vector<float>;

// The gradients of one sequence.
std::vector<Numbers> run(const Kernels& kernels, const Case& c, Pool& pool) {
  PoolTeam<Pool> team(pool);
  std::mt19937 random(1);
  auto draw = [&](int64_t size) {
    std::normal_distribution<float> normal(0, 0.5f);
    Numbers numbers(size);
    for (float& number : numbers) number = normal(random);
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

  Numbers d_ys = draw(rows * c.hidden), d_h = draw(states), d_c = draw(states), d_sums(rows * kept * c.hidden);
  Numbers d_h0(states), d_c0(states), d_w_x(w_x.size()), d_w_h(w_h.size()), d_b(b.size()), d_b_n(b_n.size());
  kernels.backward({problem, d_ys.data(), d_h.data(), lstm ? d_c.data() : nullptr, ys.data(), h0.data(),
                    lstm ? cs.data() : nullptr, lstm ? c0.data() : nullptr, w_h.data(),
                    elman ? nullptr : saved.data(), d_sums.data(), d_h0.data(), lstm ? d_c0.data() : nullptr}, team);
  kernels.weight_gradient({problem, xs.data(), ys.data(), h0.data(), d_sums.data(), d_w_x.data(), d_w_h.data(),
                           d_b.data(), gru ? d_b_n.data() : nullptr}, team);
  Numbers d_xs(xs.size());
  kernels.input_gradient({problem, d_sums.data(), w_x.data(), d_xs.data()}, team);
  return {ys, h_last, d_sums, d_h0, d_w_x, d_w_h, d_b, d_xs};
}

}  // namespace

int main() {
  std::vector<const Kernels*> sets = {&kBaseline};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&kAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) sets.push_back(&kAvx512);
#endif
  constexpr int64_t kSizes[][4] = {{1, 1, 1, 1}, {0, 3, 2, 5}, {3, 7, 5, 17}, {5, 33, 20, 37}, {2, 2, 130, 200}};
  int count = 0;
  Pool alone(1), pool(4);
  for (const Kernels* kernels : sets) {
    for (int kind = 0; kind < 4; ++kind) {
      for (auto [time, batch, inputs, hidden] : kSizes) {
        for (int options = 0; options < 4; ++options) {
          Case c = {static_cast<CellKind>(kind), time, batch, inputs, hidden, (options & 1) != 0, (options & 2) != 0};
          auto wanted = run(*kernels, c, alone);
          std::vector<std::thread> callers;
          for (int i = 0; i < 3; ++i) {
            callers.emplace_back([&, i] {
              auto got = run(*kernels, c, pool);
              for (size_t j = 0; j < got.size(); ++j) {
                for (size_t k = 0; k < got[j].size(); ++k) {
                  float error = got[j][k] - wanted[j][k], size = 1 + (wanted[j][k] < 0 ? -wanted[j][k] : wanted[j][k]);
                  if (!(error < 1e-4f * size && -error < 1e-4f * size)) {
                    std::printf("%s cell %d case %d: caller %d, result %zu differs\n", kernels->name, kind, options, i, j);
                    std::exit(1);
                  }
                }
              }
            });
          }
          for (auto& caller : callers) caller.join();
          ++count;
        }
      }
    }
    std::printf("%s: %d cases\n", kernels->name, count);
  }
}
