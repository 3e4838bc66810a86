#include "server/model_stream.h"

#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/rng.h"

namespace gossamer {
namespace {

// In place of a client, in the key of random bits: no client has this id.
constexpr std::uint64_t kBroadcast = std::numeric_limits<std::uint64_t>::max();

}  // namespace

ModelStream::ModelStream(const Options& options, const ParameterLayout& layout)
    : seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      codec_(options, layout),
      state_(codec_.difference() != nullptr ? codec_.difference()->state_floats() : 0, 0.0F) {}

Compressed ModelStream::whole(const std::shared_ptr<const Parameters>& model) const {
  Rng rng(seed_, Purpose::compression);
  return codec_.whole().compress({model, model->values}, {}, {}, rng);
}

ModelStream::Broadcast ModelStream::next(const std::shared_ptr<const Parameters>& model, Round round) {
  if (!sends_differences()) return {whole(model), std::nullopt, 0};
  if (reference_.values.empty()) {
    hold({model, model->values});
    return {as_they_are(reference_), std::nullopt, 0};
  }
  Compressed difference = compress_difference(model->values, round);
  FloatBuffer reference(reference_.values.begin(), reference_.values.end());
  if (!codec_.difference()->decompress_add(difference, 1, reference))
    throw std::logic_error("model stream: a difference that cannot be read");
  const std::uint64_t base = mark_;
  hold(SharedFloats::of(std::move(reference)));
  return {as_they_are(reference_), std::move(difference), base};
}

Compressed ModelStream::compress_difference(std::span<const float> model, Round round) {
  FloatBuffer difference(model.size());
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] = model[i] - reference_.values[i];
  Rng rng(seed_, Purpose::compression, kBroadcast, static_cast<std::uint64_t>(round));
  return codec_.difference()->compress(SharedFloats::of(std::move(difference)), state_, {round, 0}, rng);
}

void ModelStream::hold(SharedFloats reference) {
  reference_ = std::move(reference);
  mark_ = mark_of(reference_.values);
}

void ModelStream::save(CheckpointWriter& writer) const {
  if (reference_.values.empty()) return;
  writer.add_floats("reference", reference_.values);
  if (!state_.empty()) writer.add_floats("stream state", state_);
}

void ModelStream::restore(const CheckpointReader& reader) {
  if (!sends_differences() || !reader.has("reference")) return;
  const auto values = reader.floats("reference");
  hold(SharedFloats::of(FloatBuffer(values.begin(), values.end())));
  if (!reader.has("stream state")) return;
  const auto state = reader.floats("stream state");
  if (state.size() == state_.size()) state_.assign(state.begin(), state.end());
}

}  // namespace gossamer
