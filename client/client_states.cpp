#include "client/client_states.h"

#include <string>

#include "compression/compressor.h"

namespace gossamer {
namespace {

std::string residual_name(ClientId client) { return "client " + std::to_string(client) + " residual"; }

}  // namespace

bool saves_client_state(const Options& options, bool in_one_process) {
  const bool keeps = algorithms().make(options)->keeps_client_state() || keeps_state(options);
  const bool together = in_one_process || (options.text("sync.mode") == "bsp" &&
                                           options.text("topology.name") == "parameter_server");
  return keeps && together && options.text("sync.pull") == "with_work";
}

void ClientStates::save(CheckpointWriter& writer) const {
  std::vector<ClientId> ids;
  std::vector<std::uint64_t> counts;
  for (const auto& [client, state] : states_) {
    ids.push_back(client);
    counts.push_back(state.training.size());
    for (std::size_t i = 0; i < state.training.size(); ++i) {
      writer.add_floats("client " + std::to_string(client) + ' ' + std::to_string(i), state.training[i]);
    }
    if (!state.compression.empty()) writer.add_floats(residual_name(client), state.compression);
  }
  writer.add_text("clients", {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ClientId)});
  writer.add_text("client vectors",
                  {reinterpret_cast<const char*>(counts.data()), counts.size() * sizeof(std::uint64_t)});
}

void ClientStates::load(const CheckpointReader& reader) {
  states_.clear();
  const auto ids = reader.array<ClientId>("clients");
  const auto counts = reader.array<std::uint64_t>("client vectors");
  for (std::size_t k = 0; k < ids.size() && k < counts.size(); ++k) {
    ClientState& state = states_[ids[k]];
    for (std::uint64_t i = 0; i < counts[k]; ++i) {
      const auto values = reader.floats("client " + std::to_string(ids[k]) + ' ' + std::to_string(i));
      state.training.emplace_back(values.begin(), values.end());
    }
    if (reader.has(residual_name(ids[k]))) {
      const auto residual = reader.floats(residual_name(ids[k]));
      state.compression.assign(residual.begin(), residual.end());
    }
  }
}

}  // namespace gossamer
