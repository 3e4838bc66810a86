#include "comms/peer_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace gossamer {
namespace {

template <class T>
void put(ByteBuffer& bytes, std::size_t& at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  at += sizeof value;
}

// Takes a number off the front; false where there are too few bytes.
template <class T>
bool take(std::span<const std::byte>& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return true;
}

}  // namespace

Frame encode_report(std::uint64_t run_id, const PeerReport& report) {
  FrameHeader header;
  header.type = FrameType::report;
  header.run_id = run_id;
  header.round = report.info.round;
  header.client = report.info.client;
  header.sequence = report.bytes_sent;
  header.weight = report.info.weight;
  header.train_loss = report.info.train_loss;
  header.samples = report.info.samples;
  header.elements = report.bytes_received;
  return make_frame(header, {});
}

Result<PeerReport> decode_report(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::report) return unexpected(header.type);
  if (frame.payload.size() != 0) return malformed("report with a payload");
  PeerReport report;
  report.info.client = header.client;
  report.info.round = header.round;
  report.info.weight = header.weight;
  report.info.train_loss = header.train_loss;
  report.info.samples = header.samples;
  report.bytes_sent = header.sequence;
  report.bytes_received = header.elements;
  return report;
}

Frame encode_state(std::uint64_t run_id, ClientId client, Round round, const SharedFloats& values) {
  FrameHeader header;
  header.type = FrameType::state;
  header.run_id = run_id;
  header.round = round;
  header.client = client;
  header.elements = values.size();
  return make_frame(header, {values.owner, std::as_bytes(values.values)});
}

Result<std::monostate> read_floats(const Frame& frame, std::span<float> values) {
  if (frame.header.elements != values.size() || frame.payload.size() != values.size_bytes()) {
    return malformed("state of " + std::to_string(frame.payload.size()) + " bytes for " +
                     std::to_string(values.size()) + " floats");
  }
  if (!values.empty()) std::memcpy(values.data(), frame.payload.bytes.data(), values.size_bytes());
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    return malformed("state holds NaN or infinity");
  }
  return std::monostate{};
}

Frame encode_share(std::uint64_t run_id, FrameType type, const PeerShare& share) {
  if (type != FrameType::share && type != FrameType::difference)
    throw std::logic_error("encode_share: not a type of a share");
  FrameHeader header;
  header.type = type;
  header.run_id = run_id;
  header.round = share.round;
  header.client = share.from;
  header.sequence = static_cast<std::uint64_t>(share.to);
  header.weight = share.weight;
  header.elements = share.content.elements;
  return make_frame(header, share.content.payload);
}

Result<PeerShare> decode_share(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::share && header.type != FrameType::difference) return unexpected(header.type);
  if (!std::in_range<ClientId>(header.sequence)) return malformed("share for nobody");
  PeerShare share;
  share.from = header.client;
  share.to = static_cast<ClientId>(header.sequence);
  share.round = header.round;
  share.weight = header.weight;
  share.content = Compressed{header.elements, frame.payload};
  return share;
}

Frame encode_roster(std::uint64_t run_id, ClientId client, std::span<const std::string> addresses) {
  std::size_t size = sizeof(std::uint32_t);
  for (const std::string& address : addresses) {
    if (address.size() > kMaxAddressBytes) throw std::logic_error("encode_roster: an address is too long");
    size += sizeof(std::uint16_t) + address.size();
  }
  ByteBuffer bytes(size);
  std::size_t at = 0;
  put(bytes, at, static_cast<std::uint32_t>(addresses.size()));
  for (const std::string& address : addresses) {
    put(bytes, at, static_cast<std::uint16_t>(address.size()));
    if (!address.empty()) std::memcpy(bytes.data() + at, address.data(), address.size());
    at += address.size();
  }
  FrameHeader header;
  header.type = FrameType::roster;
  header.run_id = run_id;
  header.client = client;
  return make_frame(header, SharedBytes::of(std::move(bytes)));
}

Result<std::vector<std::string>> decode_roster(const Frame& frame) {
  if (frame.header.type != FrameType::roster) return unexpected(frame.header.type);
  std::span<const std::byte> rest = frame.payload.bytes;
  std::uint32_t count = 0;
  if (!take(rest, count)) return malformed("roster without a count");
  // Each takes two bytes at least: no more is allocated than came in.
  if (count > rest.size() / sizeof(std::uint16_t)) return malformed("roster is shorter than its count says");
  std::vector<std::string> addresses;
  addresses.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint16_t length = 0;
    if (!take(rest, length) || length > rest.size()) return malformed("roster ends inside an address");
    if (length > kMaxAddressBytes)
      return malformed("roster: an address of " + std::to_string(length) + " bytes");
    const std::string address(reinterpret_cast<const char*>(rest.data()), length);
    if (!std::ranges::all_of(address, [](char c) { return c > ' ' && c < 0x7F; }))
      return malformed("roster: an address that is not printable");
    addresses.push_back(address);
    rest = rest.subspan(length);
  }
  if (!rest.empty()) return malformed("roster with bytes behind its end");
  return addresses;
}

}  // namespace gossamer
