#include "compression/tensor_ways.h"

#include <algorithm>

#include "core/error.h"

namespace gossamer {
namespace {

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words(1);
  for (const char c : list) {
    if (c == ',') words.emplace_back();
    if (c != ',' && c != ' ') words.back() += c;
  }
  std::erase(words, "");
  return words;
}

// A tensor's own name, or the beginning of it up to a dot.
bool names(const std::string& word, const std::string& tensor) {
  return tensor.starts_with(word) && (tensor.size() == word.size() || tensor[word.size()] == '.');
}

}  // namespace

TensorWays::TensorWays(const Options& options)
    : least_(static_cast<std::size_t>(options.integer("compression.min_size"))),
      skipped_(words_of(options.text("compression.skip"))) {}

TensorWay TensorWays::of(const TensorSpec& tensor) const {
  if (tensor.role == TensorRole::buffer) return TensorWay::buffer;
  const bool is_skipped =
      std::ranges::any_of(skipped_, [&](const std::string& word) { return names(word, tensor.name); });
  return is_skipped || tensor.size < least_ ? TensorWay::dense : TensorWay::compressed;
}

void refuse_not_finite(const std::string& tensor) {
  throw RunError(tensor + ": the update holds NaN or infinity (a lower client.lr may help)");
}

}  // namespace gossamer
