#include "client/peer_registration.h"

#include "client/intervals.h"
#include "comms/codec.h"
#include "comms/peer_codec.h"
#include "core/error.h"
#include "core/logging.h"

namespace gossamer {
std::optional<Introduction> register_peer(Transport& transport, const Options& options,
                                          const ParameterLayout& layout, ClientId client,
                                          const std::string& address, std::chrono::duration<double> patience,
                                          const std::function<bool()>& stop_requested) {
  using Clock = Transport::Clock;
  const Frame hello = encode_hello(0, client, {options.digest(), layout.fingerprint(), 0, kWireVersion});
  bool welcome = false;
  Clock::time_point last_heard = Clock::now();
  Clock::time_point last_hello{};
  for (;;) {
    const Clock::time_point now = Clock::now();
    if (stop_requested()) return std::nullopt;
    if (now - last_heard > patience) {
      throw RunError("no word from the server at " + transport.endpoint() + " for " +
                     std::to_string(patience.count()) + " s");
    }
    if (!welcome && now - last_hello > kRegistrationInterval) {
      static_cast<void>(transport.send(0, hello));
      last_hello = now;
    }
    auto message = transport.receive(now + kPollInterval);
    if (!message) {
      if (message.fault().kind == FaultKind::malformed)
        log_warning("dropped a frame: " + message.fault().reason);
      if (message.fault().kind == FaultKind::disconnected) welcome = false;
      continue;
    }
    last_heard = Clock::now();
    const Frame& frame = message.value().frame;
    switch (frame.header.type) {
      case FrameType::welcome:
        welcome = true;
        client = frame.header.client;
        static_cast<void>(
            transport.send(0, encode_text(FrameType::address, frame.header.run_id, client, address)));
        break;
      case FrameType::roster: {
        auto roster = decode_roster(frame);
        if (!roster) throw RunError("the server's list of peers: " + roster.fault().reason);
        return Introduction{client, std::move(roster).value()};
      }
      case FrameType::refuse:
        throw ConfigError("refused by the server: " + decode_text(frame).value_or("no reason"));
      case FrameType::finish:
        throw RunError("the run is over before it began: " + decode_text(frame).value_or("no reason"));
      default:
        break;
    }
  }
}

}  // namespace gossamer
