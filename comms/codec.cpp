#include "comms/codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

#include "comms/memory_archive.h"

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
  return type == FrameType::welcome || type == FrameType::refuse || type == FrameType::finish ||
         type == FrameType::leave || type == FrameType::address;
}

bool is_signal(FrameType type) {
  return type == FrameType::heartbeat || type == FrameType::cancel || type == FrameType::ready ||
         type == FrameType::grant || type == FrameType::show || type == FrameType::lost ||
         type == FrameType::linked;
}

static_assert(sizeof(TauReport) == TauReport::kValues * sizeof(double) && TauReport::kValues < 256);
static_assert(sizeof(SubtreeReport) == SubtreeReport::kValues * sizeof(double));
static_assert(sizeof(ClipReport) == ClipReport::kValues * sizeof(double));
static_assert(SubtreeReport::kValues != TauReport::kValues && ClipReport::kValues != TauReport::kValues &&
                  ClipReport::kValues != SubtreeReport::kValues,
              "the number tells which report it is");

bool is_sane(const TauReport& report) {
  const auto is_size = [](double x) { return std::isfinite(x) && x >= 0; };
  return std::isfinite(report.loss) && is_size(report.rho) && is_size(report.beta) &&
         is_size(report.step_s) &&
         std::ranges::all_of(report.gradient, [](double x) { return std::isfinite(x); });
}

bool is_sane(const SubtreeReport& report) {
  constexpr double kMost = 0x1p53;
  return std::ranges::all_of(
      std::array{report.clients, report.dropped, report.rejected, report.bytes_up, report.bytes_down},
      [](double x) { return x >= 0 && x <= kMost && x == std::floor(x); });
}

bool is_sane(const ClipReport& report) { return report.within == 0 || report.within == 1; }

// Behind the content, in the same payload.
template <class Report>
SharedBytes with_report(std::span<const std::byte> content, const Report& report) {
  ByteBuffer bytes(content.size() + sizeof(Report));
  std::ranges::copy(content, bytes.begin());
  std::memcpy(bytes.data() + content.size(), &report, sizeof(Report));
  return SharedBytes::of(std::move(bytes));
}

// Takes the report off the end of `content`; null where it is not one.
template <class Report>
std::shared_ptr<const Report> split_report(SharedBytes& content) {
  if (content.size() < sizeof(Report)) return nullptr;
  const std::size_t length = content.size() - sizeof(Report);
  auto report = std::make_shared<Report>();
  std::memcpy(report.get(), content.bytes.data() + length, sizeof(Report));
  content.bytes = content.bytes.first(length);
  if (!is_sane(*report)) return nullptr;
  return report;
}

// How many bytes the character at the start of `text` has, if it is UTF-8 and safe to show; else 0. Not safe
// are control characters (a terminal obeys them) and those that change the direction of the text.
std::size_t printable_length(std::span<const std::byte> text) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(text[i]); };
  const std::uint32_t first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  std::uint32_t code = length == 1 ? first : first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const bool valid = code >= kSmallest[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
  const bool directs = code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
                       (code >= 0x2066 && code <= 0x2069);
  return valid && !control && !directs ? length : 0;
}

}  // namespace

Fault unexpected(FrameType type) {
  return malformed("unexpected frame type " + std::to_string(static_cast<int>(type)));
}

Frame encode_hello(std::uint64_t run_id, ClientId client, const Hello& hello, std::uint64_t attempt) {
  ByteBuffer bytes(kHelloBytes);
  write_fields(bytes, WireHello{hello});
  FrameHeader header;
  header.type = FrameType::hello;
  header.run_id = run_id;
  header.client = client;
  header.sequence = attempt;
  header.samples = hello.shards;
  return make_frame(header, SharedBytes::of(std::move(bytes)));
}

Result<Hello> decode_hello(const Frame& frame) {
  if (frame.header.type != FrameType::hello) return unexpected(frame.header.type);
  if (frame.payload.size() != kHelloBytes) {
    return Fault{FaultKind::malformed, "hello of " + std::to_string(frame.payload.size()) +
                                           " bytes; it has " + std::to_string(kHelloBytes)};
  }
  Hello hello = read_fields<WireHello>(frame.payload.bytes).fields;
  hello.shards = frame.header.samples;
  if (!std::isfinite(hello.examples) || hello.examples < 0) {
    return Fault{FaultKind::malformed, "hello: examples is not a finite number of at least 0"};
  }
  return hello;
}

Frame encode_model(std::uint64_t run_id, Round round, ClientId client, std::uint64_t base,
                   const Compressed& content, const WorkTerms& terms) {
  FrameHeader header;
  header.type = FrameType::model;
  header.run_id = run_id;
  header.round = round;
  header.client = client;
  header.sequence = base;
  header.elements = content.elements;
  set_terms(header, terms);
  return make_frame(header, content.payload);
}

void set_terms(FrameHeader& model, const WorkTerms& terms) noexcept {
  model.samples = terms.steps;
  model.weight = static_cast<double>(terms.method);
  model.train_loss = terms.clip_norm;
}

std::optional<WorkTerms> terms_of(const FrameHeader& model, std::size_t choices) {
  if (!(model.weight >= 0 && model.weight < static_cast<double>(choices))) return std::nullopt;
  const WorkTerms terms{model.samples, static_cast<std::size_t>(model.weight), model.train_loss};
  if (static_cast<double>(terms.method) != model.weight || !(terms.clip_norm >= 0)) return std::nullopt;
  return terms;
}

Frame readdress(Frame model, ClientId client) {
  model.header.client = client;
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
  const auto content = update.content.payload.bytes;
  if (update.info.tau) {
    header.metadata = TauReport::kValues;
    return make_frame(header, with_report(content, *update.info.tau));
  }
  if (update.info.subtree) {
    header.metadata = SubtreeReport::kValues;
    return make_frame(header, with_report(content, *update.info.subtree));
  }
  if (update.info.clip) {
    header.metadata = ClipReport::kValues;
    return make_frame(header, with_report(content, *update.info.clip));
  }
  return make_frame(header, update.content.payload);
}

Result<CompressedUpdate> decode_update(Frame frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::update) return unexpected(header.type);
  UpdateInfo info;
  info.client = header.client;
  info.round = header.round;
  info.sequence = header.sequence;
  info.weight = header.weight;
  info.train_loss = header.train_loss;
  info.samples = header.samples;
  SharedBytes content = std::move(frame.payload);
  if (header.metadata == TauReport::kValues) info.tau = split_report<TauReport>(content);
  if (header.metadata == SubtreeReport::kValues) info.subtree = split_report<SubtreeReport>(content);
  if (header.metadata == ClipReport::kValues) info.clip = split_report<ClipReport>(content);
  if (header.metadata != 0 && !info.tau && !info.subtree && !info.clip) {
    return Fault{FaultKind::malformed,
                 "update whose " + std::to_string(header.metadata) + " doubles of metadata are no report"};
  }
  return CompressedUpdate{std::move(info), Compressed{header.elements, std::move(content)}};
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

Frame encode_finish(std::uint64_t run_id, ClientId client, std::string_view reason, bool success) {
  Frame frame = encode_text(FrameType::finish, run_id, client, reason);
  frame.header.sequence = success ? 0 : 1;
  return frame;
}

Result<std::string> decode_text(const Frame& frame) {
  if (!carries_text(frame.header.type)) return unexpected(frame.header.type);
  if (frame.payload.size() > kMaxTextBytes) {
    return Fault{FaultKind::malformed, "reason of " + std::to_string(frame.payload.size()) +
                                           " bytes; at most " + std::to_string(kMaxTextBytes)};
  }
  std::string text;
  text.reserve(frame.payload.size());
  for (auto rest = frame.payload.bytes; !rest.empty();) {
    const std::size_t length = printable_length(rest);
    if (length == 0) {
      text.push_back('?');
    } else {
      text.append(reinterpret_cast<const char*>(rest.data()), length);
    }
    rest = rest.subspan(std::max<std::size_t>(length, 1));
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

Result<Frame> pass_through(Frame frame) {
  if (auto sane = check_header(frame.header, frame.payload.size()); !sane) return sane.fault();
  return decode_frame(frame.header, std::move(frame.payload));
}

}  // namespace gossamer
