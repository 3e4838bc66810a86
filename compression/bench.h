#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace gossamer {

// A method as it is written with the operators of a tensor library, beside ours.
class CompressionTwin {
 public:
  virtual ~CompressionTwin() = default;
  // The vector that it was made for, with the residual that it keeps.
  virtual void encode() = 0;
  // What was encoded last, added to a sum.
  virtual void decode_add() = 0;
};
// The twin of a row of the table; null: there is none.
using MakeTwin =
    std::function<std::unique_ptr<CompressionTwin>(const std::string& row, std::span<const float> values)>;

// Every method on one thread, as a table on `out` and as the rows of `bench compression`: its time, its real
// bytes and error, and the fraction that it reaches of the floor: the bytes that cannot but be moved, at the
// best rate of a copy in the same run. Takes about a minute.
nlohmann::ordered_json bench_methods(std::ostream& out, const MakeTwin& make_twin = {});

// The same of the methods that have kernels for CUDA, on the calling thread's GPU: the median of times
// between events, with all operands in its memory, beside the best copy within that memory. Throws RunError
// where there is no GPU, or the build has no CUDA.
nlohmann::ordered_json bench_methods_on_cuda(std::ostream& out);

}  // namespace gossamer
