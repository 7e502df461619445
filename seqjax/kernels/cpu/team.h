// A team out of XLA's own pool of threads. The caller works too, and can finish alone: a helper that comes late, or never,
// delays no one, so kernels may run on every thread of the pool at once.
#pragma once

#include <atomic>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "api.h"

namespace seqjax {

// Work in steps of groups; a group is done by whoever claims it first.
class March {
 public:
  March(int64_t steps, int64_t groups, Team::Work work, const void* context)
      : steps_(steps), groups_(groups), work_(work), context_(context), claimed_(groups) {}

  // Takes part until all is claimed; the `self`-th of `of` begins at its own groups, whose weights its cache holds.
  void join(int64_t self, int64_t of) {
    for (int64_t step = 0; step < steps_; ++step) {
      for (int64_t i = 0; i < groups_; ++i) {
        int64_t group = (groups_ * self / of + i) % groups_, expected = step;
        if (!claimed_[group].next.compare_exchange_strong(expected, step + 1)) continue;
        work_(context_, step, group);
        done_.fetch_add(1, std::memory_order_release);
      }
      if (step + 1 < steps_ || self == 0) wait((step + 1) * groups_);
    }
  }

 private:
  struct alignas(64) Claim {
    std::atomic<int64_t> next{0};
  };

  void wait(int64_t count) const {
    for (int64_t spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
      if (spins > kSpins) std::this_thread::yield();
#if defined(__x86_64__)
      else __builtin_ia32_pause();
#endif
    }
  }

  static constexpr int64_t kSpins = 2000;
  const int64_t steps_, groups_;
  const Team::Work work_;
  const void* const context_;
  std::vector<Claim> claimed_;
  alignas(64) std::atomic<int64_t> done_{0};
};

template <class Pool>
class PoolTeam final : public Team {
 public:
  explicit PoolTeam(Pool& pool) : pool_(pool), threads_(pool.num_threads() > 1 ? pool.num_threads() : 1) {}

  int64_t threads() const override { return threads_; }

  void run(int64_t steps, int64_t groups, Work work, const void* context) override {
    if (steps < 1 || groups < 1) return;
    int64_t members = groups < threads_ ? groups : threads_;
    auto march = std::make_shared<March>(steps, groups, work, context);
    try {
      for (int64_t self = 1; self < members; ++self)
        pool_.Schedule([march, self, members] { march->join(self, members); });
    } catch (const std::bad_alloc&) {
      // Those who were called are enough, and the caller alone would be.
    }
    march->join(0, members);
  }

 private:
  Pool& pool_;
  const int64_t threads_;
};

}  // namespace seqjax
