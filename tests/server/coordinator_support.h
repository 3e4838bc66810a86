#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/coordinator.h"
#include "server_schema.h"

namespace gossamer {

inline std::shared_ptr<const Parameters> model_of(std::vector<float> values) {
  auto parameters = std::make_shared<Parameters>();
  parameters->layout = std::make_shared<const ParameterLayout>(std::vector<TensorSpec>{
      {"w", {static_cast<std::int64_t>(values.size())}, 0, 0, TensorRole::parameter}});
  parameters->values.assign(values.begin(), values.end());
  return parameters;
}

inline CompressedUpdate update_of(ClientId client, Round round, std::vector<float> values,
                                  double weight = 1) {
  FloatBuffer buffer(values.begin(), values.end());
  SharedFloats floats = SharedFloats::of(std::move(buffer));
  CompressedUpdate update;
  update.info = {client, round, static_cast<std::uint64_t>(round), weight, 0.5, 10};
  update.content = {floats.size(), {floats.owner, std::as_bytes(floats.values)}};
  return update;
}

// What a client reads out of the model that it was sent.
inline std::vector<float> values_of(const SendModel& send) {
  std::vector<float> values(send.model.elements);
  std::memcpy(values.data(), send.model.payload.bytes.data(), values.size() * sizeof(float));
  return values;
}

// The last round's end in these actions, if there is one.
inline const Commit* commit_in(const Actions& actions) {
  for (const Action& action : actions) {
    if (const auto* commit = std::get_if<Commit>(&action)) return commit;
  }
  return nullptr;
}

inline Actions join_all(Coordinator& coordinator) {
  Actions actions;
  for (ClientId client = 0; client < coordinator.population(); ++client)
    actions = coordinator.joined(client, 0);
  return actions;
}

}  // namespace gossamer
