#include "tests/support/tcp_counters.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

namespace gossamer {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

class Netlink {
 public:
  Netlink() : fd_(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {
    if (fd_ < 0) fail("netlink socket");
  }
  ~Netlink() { close(fd_); }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  void ask(int family) {
    struct {
      nlmsghdr header;
      inet_diag_req_v2 body;
    } request{};
    request.header.nlmsg_len = sizeof(request);
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.sdiag_family = static_cast<std::uint8_t>(family);
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_ext = 1U << (INET_DIAG_INFO - 1U);
    request.body.idiag_states = ~(1U << 10U);  // all but listening
    if (send(fd_, &request, sizeof(request), 0) < 0) fail("netlink send");
  }

  // One datagram of the answer.
  std::size_t read(std::vector<char>& buffer) {
    const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
    if (size < 0) fail("netlink receive");
    return static_cast<std::size_t>(size);
  }

 private:
  int fd_;
};

void add(TcpCounters& sum, const nlmsghdr* message, std::uint16_t port) {
  const auto* const socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(message));
  if (ntohs(socket->id.idiag_sport) != port) return;
  int left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(*socket)));
  for (auto* part = reinterpret_cast<const rtattr*>(socket + 1); RTA_OK(part, left);
       part = RTA_NEXT(part, left)) {
    if (part->rta_type != INET_DIAG_INFO) continue;
    tcp_info info{};
    std::memcpy(&info, RTA_DATA(part), std::min(sizeof(info), static_cast<std::size_t>(RTA_PAYLOAD(part))));
    ++sum.connections;
    sum.bytes_sent += info.tcpi_bytes_acked;
    sum.bytes_received += info.tcpi_bytes_received;
  }
}

// False at the end of the answer.
bool add_all(TcpCounters& sum, const std::vector<char>& buffer, std::size_t size, std::uint16_t port) {
  auto left = static_cast<unsigned>(size);
  for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left)) {
    if (message->nlmsg_type == NLMSG_DONE) return false;
    if (message->nlmsg_type == NLMSG_ERROR) {
      errno = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
      fail("netlink answer");
    }
    add(sum, message, port);
  }
  return true;
}

}  // namespace

TcpCounters read_tcp_counters(std::uint16_t port) {
  TcpCounters sum;
  std::vector<char> buffer(1U << 16U);
  for (const int family : {AF_INET, AF_INET6}) {
    Netlink netlink;
    netlink.ask(family);
    while (add_all(sum, buffer, netlink.read(buffer), port)) {
    }
  }
  return sum;
}

}  // namespace gossamer
