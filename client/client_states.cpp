#include "client/client_states.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "client/trainers/trainer.h"
#include "compression/compressor.h"

namespace gossamer {
namespace {

std::string vector_name(ClientId client, std::size_t index) {
  return "client " + std::to_string(client) + ' ' + std::to_string(index);
}

std::string residual_name(ClientId client) { return "client " + std::to_string(client) + " residual"; }

}  // namespace

bool saves_client_state(const Options& options, bool in_one_process) {
  const bool keeps = algorithms().make(options)->keeps_client_state() || keeps_state(options);
  const bool together = in_one_process || (options.text("sync.mode") == "bsp" &&
                                           options.text("topology.name") == "parameter_server");
  return keeps && together && options.text("sync.pull") == "with_work";
}

std::uint64_t client_state_budget(const Options& options) {
  const double megabytes = options.real("run.client_state_mb");
  return megabytes > 0 ? static_cast<std::uint64_t>(std::llround(megabytes * 1e6)) : ClientStates::kNoLimit;
}

ClientState ClientStates::copy(ClientId client) {
  const auto found = entries_.find(client);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  if (entry.place == Place::spilled) return spill_->read(client);
  if (entry.place == Place::resting) recent_.splice(recent_.end(), recent_, entry.recent);
  return entry.state;
}

void ClientStates::put(ClientId client, ClientState state) {
  Entry& entry = entries_[client];
  take_out(client, entry);
  entry.state = std::move(state);
  rest(client, entry);
}

ClientState& ClientStates::borrow(ClientId client) {
  Entry& entry = entries_[client];
  if (entry.place == Place::spilled) entry.state = spill_->read(client);
  take_out(client, entry);
  entry.place = Place::borrowed;
  return entry.state;
}

void ClientStates::release(ClientId client) { rest(client, entries_.at(client)); }

// From wherever it is counted.
void ClientStates::take_out(ClientId client, Entry& entry) {
  if (entry.place == Place::resting) {
    recent_.erase(entry.recent);
    resident_ -= entry.bytes;
  }
  if (entry.place == Place::spilled) spill_->drop(client);
  entry.place = Place::empty;
}

void ClientStates::rest(ClientId client, Entry& entry) {
  entry.bytes = bytes_of(entry.state);
  entry.place = entry.bytes > 0 ? Place::resting : Place::empty;
  if (entry.place == Place::empty) return;
  entry.recent = recent_.insert(recent_.end(), client);
  resident_ += entry.bytes;
  keep_to_the_budget();
}

void ClientStates::keep_to_the_budget() {
  while (resident_ > budget_) {
    const ClientId client = recent_.front();
    Entry& entry = entries_.at(client);
    if (!spill_) spill_ = std::make_unique<StateSpill>(path_);
    spill_->put(client, entry.state);
    take_out(client, entry);
    entry.state = {};
    entry.place = Place::spilled;
  }
}

void ClientStates::save(CheckpointWriter& writer) const {
  std::vector<ClientId> ids;
  std::vector<std::uint64_t> counts;
  for (const auto& [client, entry] : entries_) {
    const bool spilled = entry.place == Place::spilled;
    const std::size_t vectors = spilled ? spill_->lengths(client).size() - 1 : entry.state.training.size();
    ids.push_back(client);
    counts.push_back(vectors);
    const auto add = [&, id = client](std::string name, std::size_t index, const FloatBuffer& values) {
      if (!spilled) return writer.add_floats(std::move(name), values);
      writer.add_stream(std::move(name), spill_->lengths(id)[index] * sizeof(float),
                        [this, id, index](const auto& sink) { spill_->stream(id, index, sink); });
    };
    const FloatBuffer none;
    for (std::size_t i = 0; i < vectors; ++i)
      add(vector_name(client, i), i, spilled ? none : entry.state.training[i]);
    const std::size_t residual = spilled ? spill_->lengths(client).back() : entry.state.compression.size();
    if (residual > 0) add(residual_name(client), vectors, entry.state.compression);
  }
  writer.add_text("clients", {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ClientId)});
  writer.add_text("client vectors",
                  {reinterpret_cast<const char*>(counts.data()), counts.size() * sizeof(std::uint64_t)});
}

void ClientStates::drop_file() {
  written_before_ = spilled_bytes();
  spill_.reset();
  std::erase_if(entries_, [](const auto& entry) { return entry.second.place == Place::spilled; });
}

void ClientStates::load(const CheckpointReader& reader) {
  drop_file();
  entries_.clear();
  recent_.clear();
  resident_ = 0;
  const auto ids = reader.array<ClientId>("clients");
  const auto counts = reader.array<std::uint64_t>("client vectors");
  const auto take = [&](const std::string& name) {
    const auto values = reader.floats(name);
    FloatBuffer taken(values.begin(), values.end());
    reader.forget(name);
    return taken;
  };
  for (std::size_t k = 0; k < ids.size() && k < counts.size(); ++k) {
    ClientState state;
    for (std::uint64_t i = 0; i < counts[k]; ++i) state.training.push_back(take(vector_name(ids[k], i)));
    if (reader.has(residual_name(ids[k]))) state.compression = take(residual_name(ids[k]));
    put(ids[k], std::move(state));
  }
}

}  // namespace gossamer
