#include "comms/zmq_socket.h"

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>

#include "core/error.h"

namespace gossamer {

ZmqAddress parse_zmq_address(const std::string& key, const std::string& text) {
  const auto refuse = [&]() -> ZmqAddress {
    throw ConfigError(key + " = " + text + ": " + std::string(kZmqAddresses));
  };
  if (text.starts_with("ipc://")) return text.size() > 6 ? ZmqAddress{text, true, false} : refuse();
  if (!text.starts_with("tcp://")) return refuse();
  const std::size_t colon = text.rfind(':');
  if (colon <= 6 || colon + 1 == text.size()) return refuse();
  std::string host = text.substr(6, colon - 6);
  const std::string port = text.substr(colon + 1);
  if (port != "*" && (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
                      std::stoi(port) > 65535)) {
    return refuse();
  }
  // libzmq binds to addresses and interfaces, not to names.
  if (host == "localhost") host = "127.0.0.1";
  in_addr ipv4{};
  const bool is_ipv4 = inet_pton(AF_INET, host.c_str(), &ipv4) == 1;
  const bool loopback = host == "[::1]" || host == "lo" || (is_ipv4 && host.starts_with("127."));
  return {"tcp://" + host + ":" + port, loopback, host.starts_with('[')};
}

void receive_zmq_part(zmq::socket_t& socket, zmq::message_t& part) {
  if (!socket.recv(part, zmq::recv_flags::dontwait)) throw TransportError("ZeroMQ: half a message");
}

ZmqMonitor::ZmqMonitor(zmq::context_t& context, zmq::socket_t& watched, int kinds)
    : watched_(watched), socket_(context, zmq::socket_type::pair) {
  const std::string address = "inproc://monitor";
  socket_.set(zmq::sockopt::rcvhwm,
              0);  // an event must never wait for us: libzmq's I/O thread would wait too
  socket_.set(zmq::sockopt::linger, 0);
  if (zmq_socket_monitor(watched.handle(), address.c_str(), kinds) != 0) throw zmq::error_t();
  socket_.connect(address);
}

ZmqMonitor::~ZmqMonitor() { zmq_socket_monitor(watched_.handle(), nullptr, 0); }

std::optional<ZmqEvent> ZmqMonitor::next() {
  zmq::message_t what;
  if (!socket_.recv(what, zmq::recv_flags::dontwait)) return std::nullopt;
  zmq::message_t where;
  receive_zmq_part(socket_, where);
  std::uint16_t kind = 0;
  std::uint32_t value = 0;
  if (what.size() != sizeof(kind) + sizeof(value))
    throw TransportError("ZeroMQ: monitor event of another size");
  std::memcpy(&kind, what.data(), sizeof(kind));
  std::memcpy(&value, what.data<char>() + sizeof(kind), sizeof(value));
  return ZmqEvent{kind, static_cast<int>(value)};
}

}  // namespace gossamer
