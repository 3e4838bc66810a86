#include "server/parent_link.h"

#include <random>

#include "comms/codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/intervals.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kFarewellTime{5};

}  // namespace

ParentLink::ParentLink(const Options& options, Transport& transport, EdgeAggregator& aggregator,
                       ClientId self, std::chrono::duration<double> patience)
    : options_(options),
      transport_(transport),
      aggregator_(aggregator),
      self_(self),
      patience_(patience),
      attempt_(std::random_device()()) {}

Actions ParentLink::listen(Clock::time_point deadline, Seconds now) {
  const Clock::time_point start = Clock::now();
  if (start - last_heard_ > patience_) {
    over_ = true;
    return {Finish{false, "no word from the parent at " + transport_.endpoint() + " for " +
                              std::to_string(std::chrono::ceil<std::chrono::seconds>(patience_).count()) +
                              " s"}};
  }
  if (!welcome_ && start - last_hello_ > kDriverRegistration) {
    const Hello hello{options_.digest(), aggregator_.model()->layout->fingerprint(), 0, kWireVersion};
    static_cast<void>(transport_.send(0, encode_hello(0, self_, hello, attempt_)));
    last_hello_ = start;
  }
  const auto message = transport_.receive(deadline);
  if (message) {
    last_heard_ = Clock::now();
    return take(message.value().frame, now);
  }
  if (message.fault().kind == FaultKind::malformed) log_warning("dropped a frame: " + message.fault().reason);
  if (message.fault().kind == FaultKind::disconnected) {
    log_warning("connection to the parent lost: " + message.fault().reason);
    welcome_ = false;
    ++attempt_;
  }
  return {};
}

Actions ParentLink::take(const Frame& frame, Seconds now) {
  switch (frame.header.type) {
    case FrameType::welcome:
      welcome_ = true;
      return {};
    case FrameType::model: {
      const auto model = decode_model(frame);
      auto actions = model ? aggregator_.asked(frame.header.round, model.value(), now, base_of(frame.header))
                           : Result<Actions>(model.fault());
      if (actions) return std::move(actions).value();
      const std::string why = "round " + std::to_string(frame.header.round) + ": " + actions.fault().reason;
      if (base_of(frame.header) == 0) return {Finish{false, why}};
      start_anew(why);
      return {};
    }
    case FrameType::refuse:
      throw ConfigError("refused by the parent: " + decode_text(frame).value_or("no reason"));
    case FrameType::finish:
      over_ = true;
      return {Finish{!is_failure(frame), decode_text(frame).value_or("no reason")}};
    default:
      return {};
  }
}

// Who comes back is given the model as a whole.
void ParentLink::start_anew(const std::string& why) {
  log_warning(why);
  static_cast<void>(transport_.send(0, encode_text(FrameType::leave, 0, self_, why)));
  welcome_ = false;
  ++attempt_;
  last_hello_ = {};
}

void ParentLink::send(const CompressedUpdate& update) {
  static_cast<void>(transport_.send(0, encode_update(options_.digest(), update)));
}

void ParentLink::say_goodbye(const std::string& reason) {
  if (over_) return;
  static_cast<void>(transport_.send(0, encode_text(FrameType::leave, 0, self_, reason)));
  static_cast<void>(transport_.flush(Clock::now() + kFarewellTime));
}

}  // namespace gossamer
