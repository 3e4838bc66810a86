#pragma once

#include <string>
#include <vector>

#include "core/layout.h"
#include "core/options.h"

namespace gossamer {

// How a tensor travels: by the method, as it is (compression.skip, compression.min_size), or as what is no
// parameter.
enum class TensorWay { compressed, dense, buffer };

class TensorWays {
 public:
  explicit TensorWays(const Options& options);
  TensorWay of(const TensorSpec& tensor) const;

 private:
  std::size_t least_;
  std::vector<std::string> skipped_;
};

// Throws RunError: an update cannot travel because of this tensor's values.
[[noreturn]] void refuse_not_finite(const std::string& tensor);

}  // namespace gossamer
