// What the kernels that every CPU of its kind has give, to the standard output, on one thread. See neon.sh.

#include <functional>
#include <unistd.h>
#include <vector>

#include "cases.h"

namespace {

// Takes no work: whoever schedules does all of it.
struct Alone {
  int64_t num_threads() const { return 1; }
  void Schedule(std::function<void()>) {}
};

}  // namespace

int main() {
  Alone pool;
  for (const seqjax::Case& c : seqjax::cases()) {
    for (const auto& numbers : seqjax::run(seqjax::kBaseline, c, pool)) {
      if (numbers.size() && write(1, numbers.data(), 4 * numbers.size()) < 0) return 1;
    }
  }
}
