// The compiled kernels without Python, for sanitizers: every cell and instruction set at odd sizes, from several threads
// at once over one pool, each array exactly as large as it must be. See sanitize.sh.

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cases.h"
#include "sets.h"

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

}  // namespace

int main() {
  struct Named {
    std::string name;
    const Kernels* kernels;
  };
  std::vector<Named> all;
  for (const Set& set : kSets) {
    if (!set.present()) continue;
    all.push_back({set.name, set.exact});
    all.push_back({std::string(set.name) + ", rounded", set.rounded});
  }
  Pool alone(1), pool(4);
  for (const auto& [name, kernels] : all) {
    int count = 0;
    for (const Case& c : cases()) {
      auto wanted = run(*kernels, c, alone);
      std::vector<std::thread> callers;
      for (int i = 0; i < 3; ++i) {
        callers.emplace_back([&, i] {
          auto got = run(*kernels, c, pool);
          for (size_t j = 0; j < got.size(); ++j) {
            for (size_t k = 0; k < got[j].size(); ++k) {
              float error = got[j][k] - wanted[j][k], size = 1 + (wanted[j][k] < 0 ? -wanted[j][k] : wanted[j][k]);
              if (!(error < 1e-4f * size && -error < 1e-4f * size)) {
                std::printf("%s case %d: caller %d, result %zu differs\n", name.c_str(), count, i, j);
                std::exit(1);
              }
            }
          }
        });
      }
      for (auto& caller : callers) caller.join();
      ++count;
    }
    std::printf("%s: %d cases\n", name.c_str(), count);
  }
}
