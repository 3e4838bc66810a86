#include "client/shared_scaler_mean.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "compression/tensor_ways.h"
#include "compression/ternary.h"
#include "compression/whole_numbers.h"
#include "core/checksum.h"

namespace gossamer {
namespace {

// Before a chunk: of how many ranks its sums are.
using Summands = std::uint32_t;

// The tensors that travel in ternary numbers, or those that do not.
std::vector<TensorSpec> tensors_of(const Options& options, const ParameterLayout& layout, bool ternary) {
  const TensorWays ways(options);
  std::vector<TensorSpec> tensors;
  for (const TensorSpec& tensor : layout.tensors()) {
    if (tensor.size > 0 && (ways.of(tensor) == TensorWay::compressed) == ternary) tensors.push_back(tensor);
  }
  return tensors;
}

std::size_t floats_in(const std::vector<TensorSpec>& tensors) {
  return std::accumulate(tensors.begin(), tensors.end(), std::size_t{0},
                         [](std::size_t sum, const TensorSpec& tensor) { return sum + tensor.size; });
}

ChunkRange range_of(std::size_t count, int chunks, int chunk) {
  return chunk_range(count, chunk_size(count, chunks), chunk);
}

std::size_t statistic_bytes(std::size_t ternary_tensors) { return (1 + ternary_tensors) * sizeof(float); }

std::size_t chunk_bytes(std::size_t numbers, std::size_t floats, Summands summands) {
  return sizeof(Summands) + floats * sizeof(float) + WholeNumbers(static_cast<int>(summands)).bytes(numbers);
}

}  // namespace

bool can_share_scalers(const Options& options, const ParameterLayout& layout, int world_size) {
  return options.text("compression.up") == "terngrad" &&
         up_compressors().make(options, layout)->state_floats() == 0 && world_size <= WholeNumbers::kMost;
}

CompressedMeanCost shared_scaler_cost(const Options& options, const ParameterLayout& layout,
                                      const Topology& topology, int world_size) {
  const std::vector<TensorSpec> ternary = tensors_of(options, layout, true);
  const std::size_t numbers = floats_in(ternary), floats = layout.size() - numbers;
  const auto peers = static_cast<std::size_t>(world_size);
  CompressedMeanCost cost{MeanForm::shared_scaler, 0, true};
  cost.bytes = peers * (peers - 1) * (kMessagePrefixBytes + statistic_bytes(ternary.size()));
  // Of how many ranks each rank's chunks are, stage by stage.
  std::vector<std::vector<Summands>> summands(peers, std::vector<Summands>(peers, 1));
  std::vector<Routes> routes;
  for (Rank rank = 0; rank < world_size; ++rank)
    routes.push_back(topology.all_reduce_routes(rank, world_size).back());
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    const auto before = summands;
    for (std::size_t rank = 0; rank < peers; ++rank) {
      for (const Receive& receive : routes[rank].stages[stage].receives) {
        const auto at = static_cast<std::size_t>(receive.chunk);
        const Summands arriving = before[static_cast<std::size_t>(receive.from)][at];
        Summands& held = summands[rank][at];
        held = receive.combine == Combine::copy ? arriving : held + arriving;
        cost.bytes +=
            kMessagePrefixBytes + chunk_bytes(range_of(numbers, world_size, receive.chunk).size,
                                              range_of(floats, world_size, receive.chunk).size, arriving);
      }
    }
  }
  return cost;
}

SharedScalerMean::SharedScalerMean(const Options& options, const ParameterLayout& layout,
                                   const Topology& topology, Rank self, int world_size)
    : CompressedMean(layout.size()),
      self_(self),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      clip_(options.real("compression.terngrad.clip")),
      ternary_(tensors_of(options, layout, true)),
      dense_(tensors_of(options, layout, false)),
      routes_(routes_of_compressed_mean(topology, self, world_size, MeanForm::shared_scaler)),
      gather_stages_(topology.gather_routes(self, world_size).stages.size()),
      statistics_(static_cast<std::size_t>(world_size)),
      numbers_(floats_in(ternary_)),
      floats_(floats_in(dense_)),
      summands_(static_cast<std::size_t>(world_size)),
      complete_(static_cast<std::size_t>(world_size)) {}

std::size_t SharedScalerMean::most_bytes() const noexcept {
  const auto world_size = static_cast<int>(statistics_.size());
  return std::max(statistic_bytes(ternary_.size()),
                  chunk_bytes(chunk_size(numbers_.size(), world_size), chunk_size(floats_.size(), world_size),
                              static_cast<Summands>(world_size)));
}

void SharedScalerMean::begin(std::span<float> vector, float weight, MessageContext context) {
  vector_ = vector;
  Rng rng(seed_, Purpose::compression, static_cast<std::uint64_t>(self_),
          static_cast<std::uint64_t>(context.round));
  key_ = rng.bits64();
  std::ranges::fill(statistics_, std::vector<float>());
  std::vector<float>& own = statistics_[static_cast<std::size_t>(self_)];
  own.push_back(weight);
  for (const TensorSpec& tensor : ternary_) {
    own.push_back(ternary_bound(vector.subspan(tensor.offset, tensor.size), clip_));
    if (own.back() < 0) refuse_not_finite(tensor.name);
  }
  for (const TensorSpec& tensor : dense_) {
    if (!all_finite(std::as_bytes(vector.subspan(tensor.offset, tensor.size))))
      refuse_not_finite(tensor.name);
  }
  has_drawn_ = false;
  std::ranges::fill(summands_, 1);
  std::ranges::fill(complete_, SharedBytes());
}

SharedBytes SharedScalerMean::outgoing(std::size_t stage, const Send& send) {
  const auto number = static_cast<std::size_t>(send.chunk);
  if (is_about_scalers(stage)) {
    const auto bytes = std::as_bytes(std::span(statistics_[number]));
    return SharedBytes::of(ByteBuffer(bytes.begin(), bytes.end()));
  }
  if (!has_drawn_) draw();
  if (summands_[number] < statistics_.size()) return encode(send.chunk);
  if (complete_[number].size() == 0) complete_[number] = encode(send.chunk);
  return complete_[number];
}

Result<std::monostate> SharedScalerMean::take(std::size_t stage, const Receive& receive,
                                              SharedBytes message) {
  const auto number = static_cast<std::size_t>(receive.chunk);
  if (is_about_scalers(stage)) return take_statistic(number, message);
  if (!has_drawn_) draw();
  Summands arriving;
  if (message.size() < sizeof arriving) return malformed("a sum without the number of its summands");
  std::memcpy(&arriving, message.bytes.data(), sizeof arriving);
  const bool copied = receive.combine == Combine::copy;
  const std::size_t missing = statistics_.size() - summands_[number];
  if (arriving == 0 || (copied ? arriving != statistics_.size() : arriving > missing))
    return malformed("a sum of " + std::to_string(arriving) + " summands");

  const Chunk sums = chunk(receive.chunk);
  const auto floats = message.bytes.subspan(
      sizeof arriving, std::min(sums.floats.size_bytes(), message.size() - sizeof arriving));
  const auto numbers = message.bytes.subspan(sizeof arriving + floats.size());
  if (floats.size() != sums.floats.size_bytes() || !all_finite(floats))
    return malformed("a sum of floats that are none");
  if (copied) std::ranges::fill(sums.numbers, std::int16_t{0});
  if (!WholeNumbers(static_cast<int>(arriving)).add(numbers, sums.numbers))
    return malformed("a sum of whole numbers that are none");
  combine_into(sums.floats, {}, floats, copied ? Combine::copy : Combine::add);
  summands_[number] = copied ? arriving : summands_[number] + arriving;
  if (copied) complete_[number] = std::move(message);
  return std::monostate{};
}

Result<std::monostate> SharedScalerMean::finish() {
  if (!has_drawn_) draw();  // of one rank
  const std::int16_t* number = numbers_.data();
  for (std::size_t t = 0; t < ternary_.size(); ++t) {
    for (float& x : vector_.subspan(ternary_[t].offset, ternary_[t].size))
      x = units_[t] * static_cast<float>(*number++);
  }
  const float* value = floats_.data();
  for (const TensorSpec& tensor : dense_)
    value = std::ranges::copy_n(value, static_cast<std::ptrdiff_t>(tensor.size),
                                vector_.begin() + static_cast<std::ptrdiff_t>(tensor.offset))
                .in;
  return std::monostate{};
}

SharedScalerMean::Chunk SharedScalerMean::chunk(int number) noexcept {
  const auto world_size = static_cast<int>(statistics_.size());
  const ChunkRange numbers = range_of(numbers_.size(), world_size, number);
  const ChunkRange floats = range_of(floats_.size(), world_size, number);
  return {std::span(numbers_).subspan(numbers.begin, numbers.size),
          std::span(floats_).subspan(floats.begin, floats.size)};
}

// All ranks come to the same units, since they add and compare in the order of the ranks.
void SharedScalerMean::draw() {
  has_drawn_ = true;
  float total = 0;
  for (const auto& statistic : statistics_) total += statistic.front();
  const auto share_of = [&](const std::vector<float>& statistic) {
    return total > 0 ? statistic.front() / total : 0;
  };
  units_.assign(ternary_.size(), 0.0F);
  for (const auto& statistic : statistics_) {
    for (std::size_t t = 0; t < ternary_.size(); ++t)
      units_[t] = std::max(units_[t], share_of(statistic) * statistic[1 + t]);
  }
  const std::vector<float>& own = statistics_[static_cast<std::size_t>(self_)];
  std::span<std::int16_t> numbers = numbers_;
  for (std::size_t t = 0; t < ternary_.size(); ++t) {
    const TensorSpec& tensor = ternary_[t];
    // So small a tensor counts as zeros.
    const float share = units_[t] > 0x1p-100F ? share_of(own) / units_[t] : 0;
    draw_ternary(vector_.subspan(tensor.offset, tensor.size), own[1 + t], share, key_ + t,
                 numbers.first(tensor.size));
    numbers = numbers.subspan(tensor.size);
  }
  float* value = floats_.data();
  for (const TensorSpec& tensor : dense_) {
    for (const float x : vector_.subspan(tensor.offset, tensor.size)) *value++ = share_of(own) * x;
  }
}

SharedBytes SharedScalerMean::encode(int number) {
  const Chunk sums = chunk(number);
  const Summands summands = summands_[static_cast<std::size_t>(number)];
  ByteBuffer message(chunk_bytes(sums.numbers.size(), sums.floats.size(), summands));
  std::byte* out = message.data();
  std::memcpy(out, &summands, sizeof summands);
  out += sizeof summands;
  std::ranges::copy(std::as_bytes(sums.floats), out);
  out += sums.floats.size_bytes();
  WholeNumbers(static_cast<int>(summands)).pack(sums.numbers, out);
  return SharedBytes::of(std::move(message));
}

Result<std::monostate> SharedScalerMean::take_statistic(std::size_t rank, const SharedBytes& message) {
  if (message.size() != statistic_bytes(ternary_.size()))
    return malformed("a weight and bounds of " + std::to_string(message.size()) + " bytes where " +
                     std::to_string(statistic_bytes(ternary_.size())) + " were expected");
  std::vector<float>& statistic = statistics_[rank];
  statistic.resize(1 + ternary_.size());
  std::memcpy(statistic.data(), message.bytes.data(), message.size());
  if (!std::ranges::all_of(statistic, [](float x) { return x >= 0 && std::isfinite(x); }))
    return malformed("a weight or a bound that is none");
  return std::monostate{};
}

}  // namespace gossamer
