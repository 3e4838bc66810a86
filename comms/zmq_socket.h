#pragma once

#include <optional>
#include <string>
#include <zmq.hpp>

// What the files that use ZeroMQ sockets share. Used by them only.
namespace gossamer {

struct ZmqAddress {
  std::string text;
  bool loopback = false;
  bool ipv6 = false;
};

// Accepts tcp://HOST:PORT (PORT may be *) and ipc://PATH. `key` is the configuration key to name in an error.
// Throws ConfigError.
ZmqAddress parse_zmq_address(const std::string& key, const std::string& text);

// What parse_zmq_address() accepts, for messages.
inline constexpr std::string_view kZmqAddresses =
    "an address like tcp://127.0.0.1:5555 or ipc:///run/gossamer is expected";

// The next part of a message whose first part is here. Throws TransportError.
void receive_zmq_part(zmq::socket_t& socket, zmq::message_t& part);

struct ZmqEvent {
  int kind = 0;
  int fd = -1;
};

// libzmq's own account of a socket's connections, in the order in which they came and went. One a context.
class ZmqMonitor {
 public:
  ZmqMonitor(zmq::context_t& context, zmq::socket_t& watched, int kinds);
  ~ZmqMonitor();
  ZmqMonitor(const ZmqMonitor&) = delete;
  ZmqMonitor& operator=(const ZmqMonitor&) = delete;

  std::optional<ZmqEvent> next();
  zmq::socket_t& socket() noexcept { return socket_; }

 private:
  zmq::socket_t& watched_;
  zmq::socket_t socket_;
};

}  // namespace gossamer
