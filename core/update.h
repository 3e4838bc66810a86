#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/buffers.h"
#include "core/clip_report.h"
#include "core/device_floats.h"
#include "core/subtree_report.h"
#include "core/tau_report.h"
#include "core/types.h"

namespace gossamer {

// What a client says about its update besides the numbers.
struct UpdateInfo {
  ClientId client = 0;
  Round round = 0;                         // the round that the work belongs to
  std::uint64_t sequence = 0;              // per client, increasing; an update is applied at most once
  double weight = 0;                       // n_k: how many examples stand behind the update
  double train_loss = 0;                   // mean loss over the examples processed, before each step
  std::int64_t samples = 0;                // examples processed (counting repeats): steps times batch
  std::shared_ptr<const TauReport> tau{};  // where the server chooses the number of local steps
  std::shared_ptr<const SubtreeReport> subtree{};  // of an aggregator
  std::shared_ptr<const ClipReport> clip{};        // where the server chooses the clip norm
};

// The types carry the order of the journey: Update -> ClippedUpdate -> PrivateUpdate -> CompressedUpdate ->
// Frame. Only a Clipper makes a ClippedUpdate, only a PrivacyMechanism a PrivateUpdate, so nothing can be
// noised that was not clipped, nor sent that was not privatized. Each step consumes the one before it.

// The values of an update, wherever they are.
struct UpdateContent {
  UpdateInfo info;
  FloatBuffer values;
  // In place of the values, where training took place on another device. A step of the journey that reads the
  // values brings them here first; one that leaves them alone passes this on.
  std::shared_ptr<const DeviceFloats> on_device{};

  void bring_to_host() {
    if (!on_device) return;
    values.resize(on_device->size());
    on_device->read(0, values);
    on_device.reset();
  }
};

// What local training returns: local model minus received model, over parameters and buffers.
struct Update : UpdateContent {};

class ClippedUpdate : public UpdateContent {
  friend class Clipper;
  explicit ClippedUpdate(Update update) : UpdateContent(std::move(update)) {}
};

class PrivateUpdate : public UpdateContent {
  friend class PrivacyMechanism;
  explicit PrivateUpdate(ClippedUpdate update) : UpdateContent(std::move(update)) {}
};

// A vector of floats as a compressor's bytes.
struct Compressed {
  std::size_t elements = 0;
  SharedBytes payload;
};

struct CompressedUpdate {
  UpdateInfo info;
  Compressed content;
  std::vector<Compressed> more{};  // the ranges of a server's further shards, where they are here
};

}  // namespace gossamer
