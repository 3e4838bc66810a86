#include "comms/codec.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "comms/memory_stream.h"

namespace gossamer {
namespace {

// A Hello as it lies on the wire.
struct WireHello {
  Hello fields;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(fields.config_digest, fields.layout_fingerprint, fields.examples, fields.version);
  }
};

bool carries_text(FrameType type) {
  return type == FrameType::refuse || type == FrameType::finish || type == FrameType::leave;
}

bool is_signal(FrameType type) {
  return type == FrameType::welcome || type == FrameType::ack || type == FrameType::heartbeat;
}

Fault unexpected(FrameType type) {
  return Fault{FaultKind::malformed, "unexpected frame type " + std::to_string(static_cast<int>(type))};
}

}  // namespace

Frame encode_hello(std::uint64_t run_id, ClientId client, const Hello& hello) {
  ByteBuffer bytes(kHelloBytes);
  write_fields(bytes, WireHello{hello});
  FrameHeader header;
  header.type = FrameType::hello;
  header.run_id = run_id;
  header.client = client;
  return make_frame(header, SharedBytes::of(std::move(bytes)));
}

Result<Hello> decode_hello(const Frame& frame) {
  if (frame.header.type != FrameType::hello) return unexpected(frame.header.type);
  if (frame.payload.size() != kHelloBytes) {
    return Fault{FaultKind::malformed, "hello of " + std::to_string(frame.payload.size()) +
                                           " bytes; it has " + std::to_string(kHelloBytes)};
  }
  const Hello hello = read_fields<WireHello>(frame.payload.bytes).fields;
  if (!std::isfinite(hello.examples) || hello.examples < 0) {
    return Fault{FaultKind::malformed, "hello: examples is not a finite number of at least 0"};
  }
  return hello;
}

Frame encode_model(std::uint64_t run_id, Round round, ClientId client, std::uint64_t sequence,
                   const Compressed& content) {
  FrameHeader header;
  header.type = FrameType::model;
  header.run_id = run_id;
  header.round = round;
  header.client = client;
  header.sequence = sequence;
  header.elements = content.elements;
  return make_frame(header, content.payload);
}

Frame readdress(Frame model, ClientId client, std::uint64_t sequence) {
  model.header.client = client;
  model.header.sequence = sequence;
  return model;
}

Result<Compressed> decode_model(const Frame& frame) {
  if (frame.header.type != FrameType::model) return unexpected(frame.header.type);
  return Compressed{frame.header.elements, frame.payload};
}

Frame encode_update(std::uint64_t run_id, const CompressedUpdate& update) {
  FrameHeader header;
  header.type = FrameType::update;
  header.run_id = run_id;
  header.round = update.info.round;
  header.client = update.info.client;
  header.sequence = update.info.sequence;
  header.weight = update.info.weight;
  header.train_loss = update.info.train_loss;
  header.samples = update.info.samples;
  header.elements = update.content.elements;
  return make_frame(header, update.content.payload);
}

Result<CompressedUpdate> decode_update(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::update) return unexpected(header.type);
  UpdateInfo info;
  info.client = header.client;
  info.round = header.round;
  info.sequence = header.sequence;
  info.weight = header.weight;
  info.train_loss = header.train_loss;
  info.samples = header.samples;
  return CompressedUpdate{info, Compressed{header.elements, frame.payload}};
}

Frame encode_text(FrameType type, std::uint64_t run_id, ClientId client, std::string_view text) {
  if (!carries_text(type)) throw std::logic_error("encode_text: this frame type carries no text");
  text = text.substr(0, kMaxTextBytes);
  ByteBuffer bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  FrameHeader header;
  header.type = type;
  header.run_id = run_id;
  header.client = client;
  return make_frame(header, SharedBytes::of(std::move(bytes)));
}

Result<std::string> decode_text(const Frame& frame) {
  if (!carries_text(frame.header.type)) return unexpected(frame.header.type);
  if (frame.payload.size() > kMaxTextBytes) {
    return Fault{FaultKind::malformed, "reason of " + std::to_string(frame.payload.size()) +
                                           " bytes; at most " + std::to_string(kMaxTextBytes)};
  }
  std::string text;
  text.reserve(frame.payload.size());
  for (const std::byte byte : frame.payload.bytes) {
    const char c = static_cast<char>(byte);
    text.push_back(c >= ' ' && c <= '~' ? c : '?');
  }
  return text;
}

Frame encode_signal(FrameType type, std::uint64_t run_id, ClientId client, Round round,
                    std::uint64_t sequence) {
  if (!is_signal(type)) throw std::logic_error("encode_signal: this frame type carries a payload");
  FrameHeader header;
  header.type = type;
  header.run_id = run_id;
  header.round = round;
  header.client = client;
  header.sequence = sequence;
  return make_frame(header, {});
}

Result<Frame> pass_through(const Frame& frame) {
  const HeaderBytes bytes = encode_header(frame.header);
  const auto header = decode_header(bytes, frame.payload.size());
  if (!header) return header.fault();
  return decode_frame(header.value(), frame.payload);
}

}  // namespace gossamer
