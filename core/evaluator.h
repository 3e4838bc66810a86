#pragma once

#include <cstdint>

namespace gossamer {

// Sums over test labels, so that parts evaluated on different threads add up in a fixed order.
struct Evaluation {
  double loss_sum = 0;
  std::int64_t correct = 0;
  std::int64_t count = 0;

  double loss() const { return count == 0 ? 0 : loss_sum / static_cast<double>(count); }
  double accuracy() const {
    return count == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(count);
  }
  Evaluation& operator+=(const Evaluation& part) {
    loss_sum += part.loss_sum;
    correct += part.correct;
    count += part.count;
    return *this;
  }
};

}  // namespace gossamer
