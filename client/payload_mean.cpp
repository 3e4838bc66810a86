#include "client/payload_mean.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace gossamer {
namespace {

// Before the payload of each message: the weight of what is in it.
constexpr std::size_t kWeightBytes = sizeof(float);

// With every float sent by its index, too: two bits a float at most (compression/sparse_indices.h).
std::size_t most_message_bytes(std::size_t floats) {
  constexpr std::size_t kSlack = 65'536;
  return kWeightBytes + floats * sizeof(float) + floats / 4 + kSlack;
}

// A mean so far may be compressed again where what is left out of it is all that is kept: momentum belongs to
// one peer's updates.
bool can_recompress(const Compressor& compressor) {
  return compressor.state_floats() == 0 || compressor.traits().telescopes;
}

}  // namespace

bool can_recompress_chunks(const Options& options, const ParameterLayout& layout, int world_size) {
  return can_recompress(*up_compressors().make(options, layout)) &&
         2 * static_cast<std::size_t>(world_size) <= layout.parameter_count();
}

CompressedMeanCost payload_mean_cost(const Options& options, const ParameterLayout& layout, int world_size,
                                     MeanForm form) {
  const bool scatter = form == MeanForm::reduce_scatter;
  const ShardPlan plan(layout, scatter ? world_size : 1);
  CompressedMeanCost cost{form, 0, true};
  for (std::size_t s = 0; s < plan.shards(); ++s) {
    const auto payload = up_compressors().make(options, plan.layout(s))->payload_bytes();
    cost.known = cost.known && payload;
    cost.bytes += kMessagePrefixBytes + kWeightBytes + payload.value_or(plan.range(s).size * sizeof(float));
  }
  const auto peers = static_cast<std::size_t>(world_size);
  cost.bytes *= (peers - 1) * (scatter ? 2 : peers);
  return cost;
}

PayloadMean::PayloadMean(const Options& options, const ParameterLayout& layout, const Topology& topology,
                         Rank self, int world_size, bool reduce_scatter)
    : CompressedMean(layout.size()),
      self_(self),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      routes_(routes_of_compressed_mean(topology, self, world_size,
                                        reduce_scatter ? MeanForm::reduce_scatter : MeanForm::gather)),
      reducing_stages_(reduce_scatter ? static_cast<std::size_t>(world_size - 1) : 0),
      messages_(static_cast<std::size_t>(world_size)) {
  const ShardPlan plan(layout, reduce_scatter ? world_size : 1);
  std::size_t state_floats = 0;
  for (std::size_t s = 0; s < plan.shards(); ++s) {
    const ShardPlan::Range range = plan.range(s);
    chunks_.push_back(
        {up_compressors().make(options, plan.layout(s)), range.begin, range.size, state_floats, 0});
    state_floats += chunks_.back().compressor->state_floats();
    most_bytes_ = std::max(most_bytes_, most_message_bytes(range.size));
  }
  keep_leftovers(state_floats);
}

void PayloadMean::begin(std::span<float> vector, float weight, MessageContext context) {
  vector_ = vector;
  context_ = context;
  rng_.emplace(seed_, Purpose::compression, static_cast<std::uint64_t>(self_),
               static_cast<std::uint64_t>(context.round));
  for (Chunk& chunk : chunks_) chunk.weight = weight;
  std::ranges::fill(messages_, SharedBytes());
  if (!is_reduce_scatter()) messages_[static_cast<std::size_t>(self_)] = encode(chunks_.front());
}

SharedBytes PayloadMean::outgoing(std::size_t stage, const Send& send) {
  const auto number = static_cast<std::size_t>(send.chunk);
  if (!is_reduce_scatter()) return messages_[number];
  Chunk& chunk = chunks_[number];
  if (stage < reducing_stages_) return encode(chunk);
  SharedBytes& complete = messages_[number];
  if (complete.size() == 0) {
    complete = encode(chunk);
    const auto decoded =
        chunk.compressor->decompress(decode(chunk, complete).value().content, values_of(chunk));
    if (!decoded) throw std::logic_error("PayloadMean: " + decoded.fault().reason);
  }
  return complete;
}

Result<std::monostate> PayloadMean::take(std::size_t, const Receive& receive, SharedBytes message) {
  const auto number = static_cast<std::size_t>(receive.chunk);
  if (!is_reduce_scatter()) {
    messages_[number] = std::move(message);
    return std::monostate{};
  }
  Chunk& chunk = chunks_[number];
  const auto decoded = decode(chunk, message);
  if (!decoded) return decoded.fault();
  const std::span<float> values = values_of(chunk);
  if (receive.combine == Combine::copy) {
    messages_[number] = std::move(message);
    return chunk.compressor->decompress(decoded.value().content, values);
  }
  const float total = chunk.weight + decoded.value().weight;
  const float own = total > 0 ? chunk.weight / total : 0;
  for (float& x : values) x *= own;
  chunk.weight = total;
  return chunk.compressor->decompress_add(decoded.value().content,
                                          total > 0 ? decoded.value().weight / total : 0, values);
}

Result<std::monostate> PayloadMean::finish() {
  if (is_reduce_scatter()) return std::monostate{};
  const Chunk& whole = chunks_.front();
  std::vector<Content> contents;
  float total = 0;
  const auto of_rank = [](std::size_t rank, const Fault& fault) {
    return Fault{fault.kind, "rank " + std::to_string(rank) + ": " + fault.reason, static_cast<Rank>(rank)};
  };
  for (std::size_t rank = 0; rank < messages_.size(); ++rank) {
    auto decoded = decode(whole, messages_[rank]);
    if (!decoded) return of_rank(rank, decoded.fault());
    total += decoded.value().weight;
    contents.push_back(std::move(decoded).value());
  }
  std::ranges::fill(vector_, 0.0F);
  for (std::size_t rank = 0; rank < contents.size() && total > 0; ++rank) {
    const auto added =
        whole.compressor->decompress_add(contents[rank].content, contents[rank].weight / total, vector_);
    if (!added) return of_rank(rank, added.fault());
  }
  return std::monostate{};
}

SharedBytes PayloadMean::encode(Chunk& chunk) {
  const std::span<float> state = leftovers().subspan(chunk.state, chunk.compressor->state_floats());
  const Compressed compressed =
      chunk.compressor->compress({nullptr, values_of(chunk)}, state, context_, *rng_);
  ByteBuffer message(kWeightBytes + compressed.payload.size());
  std::memcpy(message.data(), &chunk.weight, kWeightBytes);
  std::ranges::copy(compressed.payload.bytes, message.begin() + kWeightBytes);
  return SharedBytes::of(std::move(message));
}

Result<PayloadMean::Content> PayloadMean::decode(const Chunk& chunk, const SharedBytes& message) {
  float weight;
  if (message.size() < sizeof weight) return malformed("a message without a weight");
  std::memcpy(&weight, message.bytes.data(), sizeof weight);
  if (!(weight >= 0 && std::isfinite(weight))) return malformed("a weight that is none");
  return Content{weight, {chunk.size, {message.owner, message.bytes.subspan(kWeightBytes)}}};
}

}  // namespace gossamer
