#include "client/trainers/poisson_lots.h"

#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace gossamer {

void PoissonLots::start(std::shared_ptr<const ExampleSet> examples, double q, RandomWords random) {
  if (!(q > 0 && q <= 1)) throw std::invalid_argument("a sampling rate lies in (0, 1]");
  examples_ = std::move(examples);
  q_ = q;
  random_ = std::move(random);
  lot_.clear();
  given_ = 0;
  room_.allocate(examples_->shape(), std::min(largest_part_, examples_->size()));
}

std::int64_t PoissonLots::draw() {
  constexpr std::int64_t kWords = 4096;
  const std::int64_t size = examples_->size();
  const bool everybody = q_ == 1;
  const std::uint64_t below = everybody ? 0 : static_cast<std::uint64_t>(q_ * 0x1p64);
  lot_.clear();
  given_ = 0;
  for (std::int64_t first = 0; first < size; first += kWords) {
    words_.resize(static_cast<std::size_t>(std::min(kWords, size - first)));
    random_(words_);
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (everybody || words_[i] < below) lot_.push_back(first + static_cast<std::int64_t>(i));
    }
  }
  return static_cast<std::int64_t>(lot_.size());
}

std::optional<PoissonLots::Part> PoissonLots::next() {
  const std::size_t count = std::min(lot_.size() - given_, static_cast<std::size_t>(largest_part_));
  if (count == 0) return std::nullopt;
  room_.gather(*examples_, std::span(lot_).subspan(given_, count));
  given_ += count;
  return Part{room_.features(), room_.labels(), static_cast<std::int64_t>(count)};
}

}  // namespace gossamer
