#include "client/compressed_mean.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>

#include "client/payload_mean.h"
#include "client/shared_scaler_mean.h"
#include "core/error.h"

namespace gossamer {
namespace {

// Whether the topology passes as many chunks around as there are peers.
bool passes_chunks(const Topology& topology, int world_size) {
  return world_size > 1 && topology.all_reduce_routes(0, world_size).back().chunks == world_size;
}

bool can_take(MeanForm form, const Options& options, const Topology& topology, const ParameterLayout& layout,
              int world_size) {
  switch (form) {
    case MeanForm::gather:
      return true;
    case MeanForm::reduce_scatter:
      return passes_chunks(topology, world_size) && can_recompress_chunks(options, layout, world_size);
    case MeanForm::shared_scaler:
      return passes_chunks(topology, world_size) && can_share_scalers(options, layout, world_size);
  }
  return false;
}

// None: auto.
std::optional<MeanForm> form_named(const std::string& name) {
  for (const MeanForm form : {MeanForm::gather, MeanForm::reduce_scatter, MeanForm::shared_scaler}) {
    if (name == name_of(form)) return form;
  }
  return std::nullopt;
}

}  // namespace

const char* name_of(MeanForm form) noexcept {
  switch (form) {
    case MeanForm::gather:
      return "gather";
    case MeanForm::reduce_scatter:
      return "reduce_scatter";
    case MeanForm::shared_scaler:
      return "shared_scaler";
  }
  return "";
}

SharedFloats CompressedMean::with_leftovers(std::span<const float> model) const {
  FloatBuffer both(model.begin(), model.end());
  both.insert(both.end(), leftovers_.begin(), leftovers_.end());
  return SharedFloats::of(std::move(both));
}

// A run begins with the model alone.
Result<std::monostate> CompressedMean::restore_leftovers(std::span<const float> model_and_leftovers) {
  if (model_and_leftovers.size() == floats_) return std::monostate{};
  if (model_and_leftovers.size() != floats_ + leftovers_.size())
    return malformed("a model with " + std::to_string(model_and_leftovers.size() - floats_) +
                     " floats behind it where " + std::to_string(leftovers_.size()) + " were expected");
  std::ranges::copy(model_and_leftovers.subspan(floats_), leftovers_.begin());
  return std::monostate{};
}

CompressedMeanCost cost_of_compressed_mean(const Options& options, const ParameterLayout& layout,
                                           const Topology& topology, int world_size) {
  const MeanForm form = form_of_compressed_mean(options, layout, topology, world_size);
  return form == MeanForm::shared_scaler ? shared_scaler_cost(options, layout, topology, world_size)
                                         : payload_mean_cost(options, layout, world_size, form);
}

MeanForm form_of_compressed_mean(const Options& options, const ParameterLayout& layout,
                                 const Topology& topology, int world_size) {
  const std::string& name = options.text("compression.all_reduce");
  if (const auto form = form_named(name)) {
    if (!can_take(*form, options, topology, layout, world_size))
      throw ConfigError("compression.all_reduce = " + name + ": topology.name = " +
                        options.text("topology.name") + " with data.clients = " + std::to_string(world_size) +
                        ": sums of what compression.up = " + options.text("compression.up") +
                        " sends cannot be passed on chunk by chunk; use gather");
    return *form;
  }
  if (!can_take(MeanForm::reduce_scatter, options, topology, layout, world_size)) return MeanForm::gather;
  const auto bytes = [&](MeanForm form) {
    return payload_mean_cost(options, layout, world_size, form).bytes;
  };
  return bytes(MeanForm::reduce_scatter) < bytes(MeanForm::gather) ? MeanForm::reduce_scatter
                                                                   : MeanForm::gather;
}

Routes routes_of_compressed_mean(const Topology& topology, Rank self, int world_size, MeanForm form) {
  Routes routes = form == MeanForm::reduce_scatter ? topology.all_reduce_routes(self, world_size).back()
                                                   : topology.gather_routes(self, world_size);
  if (form != MeanForm::shared_scaler) return routes;
  // First what the units follow from, of all ranks.
  std::ranges::move(topology.all_reduce_routes(self, world_size).back().stages,
                    std::back_inserter(routes.stages));
  return routes;
}

std::unique_ptr<CompressedMean> make_compressed_mean(const Options& options, const ParameterLayout& layout,
                                                     const Topology& topology, Rank self, int world_size) {
  if (topology.kind() != TopologyKind::all_reduce)
    throw std::logic_error("make_compressed_mean: this topology is no all-reduce");
  const MeanForm form = form_of_compressed_mean(options, layout, topology, world_size);
  if (form == MeanForm::shared_scaler)
    return std::make_unique<SharedScalerMean>(options, layout, topology, self, world_size);
  return std::make_unique<PayloadMean>(options, layout, topology, self, world_size,
                                       form == MeanForm::reduce_scatter);
}

}  // namespace gossamer
