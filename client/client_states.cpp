#include "client/client_states.h"

#include <string>

namespace gossamer {

bool saves_client_state(const Options& options) {
  return algorithms().make(options)->keeps_client_state() && options.text("sync.pull") == "with_work";
}

void ClientStates::save(CheckpointWriter& writer) const {
  std::vector<ClientId> ids;
  std::vector<std::uint64_t> counts;
  for (const auto& [client, state] : states_) {
    ids.push_back(client);
    counts.push_back(state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      writer.add_floats("client " + std::to_string(client) + ' ' + std::to_string(i), state[i]);
    }
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
      state.emplace_back(values.begin(), values.end());
    }
  }
}

}  // namespace gossamer
