#include "comms/parcel.h"

#include <algorithm>
#include <utility>

#include "comms/codec.h"

namespace gossamer {

std::size_t Parcel::wire_bytes() const noexcept {
  std::size_t bytes = first.wire_bytes();
  for (const Frame& frame : more) bytes += frame.wire_bytes();
  return bytes;
}

const Parcel& ModelEncoder::encode(Round round, ClientId client, const Compressed& first,
                                   std::span<const Compressed> more, const WorkTerms& terms,
                                   std::span<const std::uint64_t> bases) {
  const auto base_of_range = [&](std::size_t shard) { return bases.empty() ? 0 : bases[shard]; };
  // What is held here is not given to another model meanwhile: the same bytes are the same model.
  const SharedBytes& held = last_.first.payload;
  if (first.payload.owner && first.payload.owner == held.owner &&
      first.payload.bytes.data() == held.bytes.data() && first.elements == last_.first.header.elements &&
      first.payload.size() == held.size() && more.empty() && last_.more.empty()) {
    FrameHeader& header = last_.first.header;
    header.round = round;
    header.client = client;
    header.sequence = base_of_range(0);
    set_terms(header, terms);
    return last_;
  }
  last_.first = encode_model(run_id_, round, client, base_of_range(0), first, terms);
  last_.more.clear();
  for (const Compressed& range : more) {
    const std::size_t shard = last_.frames();
    last_.more.push_back(encode_model(run_id_, round, client, base_of_range(shard), range, terms));
    last_.more.back().header.metadata = static_cast<std::uint8_t>(shard);
  }
  return last_;
}

Parcel readdress(Parcel models, ClientId client) {
  models.first.header.client = client;
  for (Frame& frame : models.more) frame.header.client = client;
  return models;
}

Parcel encode_update_parcel(std::uint64_t run_id, const CompressedUpdate& update) {
  Parcel parcel{encode_update(run_id, update), {}};
  parcel.more.reserve(update.more.size());
  for (const Compressed& range : update.more) {
    CompressedUpdate part{update.info, range, {}};
    part.info.tau = nullptr;  // said once
    part.info.clip = nullptr;
    parcel.more.push_back(encode_update(run_id, part));
  }
  return parcel;
}

Result<CompressedUpdate> decode_update(Parcel parcel) {
  auto update = decode_update(std::move(parcel.first));
  if (!update) return update;
  CompressedUpdate whole = std::move(update).value();
  whole.more.reserve(parcel.more.size());
  for (Frame& frame : parcel.more) {
    auto part = decode_update(std::move(frame));
    if (!part) return part;
    whole.more.push_back(std::move(part.value().content));
  }
  return whole;
}

Result<Parcel> pass_through(Parcel parcel) {
  auto first = pass_through(std::move(parcel.first));
  if (!first) return first.fault();
  parcel.first = std::move(first).value();
  for (Frame& frame : parcel.more) {
    auto more = pass_through(std::move(frame));
    if (!more) return more.fault();
    frame = std::move(more).value();
  }
  return parcel;
}

std::optional<Parcel> ParcelAssembly::add(std::size_t shard, Frame frame) {
  if (shards_ == 1) return Parcel{std::move(frame), {}};
  const ClientId client = frame.header.client;
  Open& open = open_[client];
  if (frame.header.round < open.round) return std::nullopt;
  if (frame.header.round > open.round || open.frames.empty()) {
    open.round = frame.header.round;
    open.frames.assign(shards_, std::nullopt);
  }
  open.frames.at(shard) = std::move(frame);
  if (std::ranges::any_of(open.frames, [](const auto& part) { return !part; })) return std::nullopt;
  Parcel parcel{std::move(*open.frames[0]), {}};
  for (std::size_t s = 1; s < shards_; ++s) parcel.more.push_back(std::move(*open.frames[s]));
  open_.erase(client);
  return parcel;
}

void ParcelAssembly::drop(ClientId client, Round round) {
  const auto open = open_.find(client);
  if (open != open_.end() && open->second.round == round) open_.erase(open);
}

}  // namespace gossamer
