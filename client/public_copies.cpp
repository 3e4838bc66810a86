#include "client/public_copies.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "client/peer_model.h"
#include "compression/model_codec.h"

namespace gossamer {

PublicCopies::PublicCopies(const Options& options, const ParameterLayout& layout)
    : seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      floats_(layout.size()),
      method_(down_compressors().make(options, layout)),
      plain_(make_no_compressor(layout.size())) {}

Result<std::monostate> PublicCopies::begin(ClientId own, std::span<const float> model_and_copy, Round round) {
  const std::size_t state = method_->state_floats();
  if (model_and_copy.size() != floats_ && model_and_copy.size() != 2 * floats_ + state)
    return malformed("a model of " + std::to_string(floats_) + " floats, a copy and " +
                     std::to_string(state) + " others were expected, not " +
                     std::to_string(model_and_copy.size()));
  // A run begins with one model, which all know.
  const bool alone = model_and_copy.size() == floats_;
  const std::span<const float> copy = alone ? model_and_copy : model_and_copy.subspan(floats_, floats_);
  Copy& held = copies_[own];
  held.values.assign(copy.begin(), copy.end());
  held.round = round;
  held.state.assign(state, 0.0F);
  if (!alone) std::ranges::copy(model_and_copy.last(state), held.state.begin());
  return std::monostate{};
}

SharedFloats PublicCopies::with_copy(ClientId own, std::span<const float> model) const {
  const Copy& held = copies_.at(own);
  FloatBuffer all(model.begin(), model.end());
  all.insert(all.end(), held.values.begin(), held.values.end());
  all.insert(all.end(), held.state.begin(), held.state.end());
  return SharedFloats::of(std::move(all));
}

Compressed PublicCopies::next(ClientId own, const SharedFloats& model, Round round) {
  Copy& held = copies_.at(own);
  FloatBuffer difference(floats_);
  for (std::size_t i = 0; i < floats_; ++i) difference[i] = model.values[i] - held.values[i];
  Rng rng = message_rng(seed_, own, own, round);
  Compressed content = method_->compress(SharedFloats::of(std::move(difference)), held.state, {round}, rng);
  if (!method_->decompress_add(content, 1, held.values))
    throw std::logic_error("public copies: a difference that cannot be read");
  held.round = round;
  return content;
}

Result<std::monostate> PublicCopies::add(ClientId other, const Compressed& content, Round round) {
  const auto held = copies_.find(other);
  if (held == copies_.end()) return malformed("a difference to a copy that is not here");
  if (held->second.round >= round) return std::monostate{};
  const auto fault = [&](Fault why) {
    copies_.erase(held);
    return why;
  };
  if (held->second.round + 1 != round)
    return fault(malformed("a difference to the copy of round " + std::to_string(round - 1) +
                           " where that of round " + std::to_string(held->second.round) + " is held"));
  if (const auto added = method_->decompress_add(content, 1, held->second.values); !added)
    return fault(added.fault());
  held->second.round = round;
  return std::monostate{};
}

Result<std::monostate> PublicCopies::hold(ClientId other, const Compressed& whole, Round round) {
  if (const auto held = copies_.find(other); held != copies_.end() && held->second.round >= round)
    return std::monostate{};
  FloatBuffer values(floats_);
  if (auto read = plain_->decompress(whole, values); !read) {
    copies_.erase(other);
    return read;
  }
  copies_[other] = {std::move(values), round, {}};
  return std::monostate{};
}

std::span<const float> PublicCopies::after(Round round, ClientId client) const {
  const auto held = copies_.find(client);
  if (held == copies_.end() || held->second.round != round) return {};
  return held->second.values;
}

Compressed PublicCopies::whole(ClientId own) const {
  FloatBuffer values = copies_.at(own).values;
  return as_they_are(SharedFloats::of(std::move(values)));
}

}  // namespace gossamer
