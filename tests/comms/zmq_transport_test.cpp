#include "comms/zmq_transport.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <future>
#include <limits>
#include <mutex>
#include <thread>
#include <zmq.hpp>

#include "core/error.h"
#include "tests/comms/transport_conformance.h"
#include "tests/support/tcp_counters.h"

namespace gossamer {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A folder for ipc sockets that goes with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "gossamer_comms_XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

ZmqServerSettings server_settings(std::uint64_t max_payload_bytes) {
  ZmqServerSettings settings;
  settings.listen = "tcp://127.0.0.1:0";
  settings.limits.max_payload_bytes = max_payload_bytes;
  return settings;
}

ZmqClientSettings client_settings(const std::string& endpoint, ClientId client,
                                  std::uint64_t max_payload_bytes) {
  ZmqClientSettings settings;
  settings.connect = endpoint;
  settings.client = client;
  settings.reconnect_min = 10ms;
  settings.reconnect_max = 100ms;
  settings.limits.max_payload_bytes = max_payload_bytes;
  return settings;
}

// A server and two clients, a thread each.
class ZmqWorld final : public World {
 public:
  ZmqWorld(std::string listen, std::uint64_t max_payload_bytes)
      : listen_(std::move(listen)), max_payload_bytes_(max_payload_bytes) {}

  int size() const override { return 3; }

  void run(const std::function<void(Transport&, int)>& body) override {
    ZmqServerSettings settings = server_settings(max_payload_bytes_);
    settings.listen = listen_.empty() ? "ipc://" + (folder_.path() / "socket").string() : listen_;
    std::promise<std::string> bound;
    const std::shared_future<std::string> endpoint = bound.get_future().share();
    std::vector<std::jthread> threads;
    threads.emplace_back([&] {
      const auto server = make_zmq_server(settings);
      bound.set_value(server->endpoint());
      body(*server, 0);
    });
    for (int index = 1; index < size(); ++index) {
      threads.emplace_back([&, index] {
        const auto client = make_zmq_client(client_settings(endpoint.get(), index, max_payload_bytes_));
        body(*client, index);
      });
    }
  }

 private:
  ScratchFolder folder_;
  std::string listen_;
  std::uint64_t max_payload_bytes_;
};

Backend backend(std::string name, std::string listen) {
  return {std::move(name), [listen](std::uint64_t max) { return std::make_unique<ZmqWorld>(listen, max); }};
}

INSTANTIATE_TEST_SUITE_P(Zmq, TransportConformance,
                         testing::Values(backend("tcp", "tcp://127.0.0.1:0"), backend("ipc", "")),
                         backend_name);

// --------------------------------------------------------------------------------- ZeroMQ's own promises

std::unique_ptr<Transport> server(std::uint64_t max_payload_bytes = 1'000'000) {
  return make_zmq_server(server_settings(max_payload_bytes));
}

std::unique_ptr<Transport> server_that_keeps_alive() {
  ZmqServerSettings settings = server_settings(1'000'000);
  settings.keep_alive = 5ms;
  return make_zmq_server(settings);
}

std::unique_ptr<Transport> client_of(const Transport& server, ClientId client,
                                     std::uint64_t max_payload_bytes = 1'000'000) {
  return make_zmq_client(client_settings(server.endpoint(), client, max_payload_bytes));
}

Frame hello_of(ClientId client) { return encode_hello(1, client, Hello{1, 2, 3, 4}); }

// The client says hello; returns the rank that the server knows it by.
Rank join(Transport& server, Transport& client, ClientId id) {
  expect_sent(client, 0, hello_of(id));
  const auto message = expect_message(server);
  if (!message) return -1;
  EXPECT_EQ(message->frame.header.type, FrameType::hello);
  EXPECT_EQ(message->frame.header.client, id);
  return message->from;
}

// The same for a client that was cut off: what it says while its connection is made anew may be lost, so
// clients say hello until they are answered.
Rank join_again(Transport& server, Transport& client, ClientId id) {
  for (int attempt = 0; attempt < 30; ++attempt) {
    expect_sent(client, 0, hello_of(id));
    const auto message = server.receive(Transport::Clock::now() + std::chrono::seconds(1));
    if (message) return message.value().from;
  }
  ADD_FAILURE() << "no hello arrived";
  return -1;
}

Fault expect_fault(Transport& transport, FaultKind kind) {
  auto result = transport.receive(soon());
  if (result) {
    ADD_FAILURE() << "a frame where a fault was expected";
    return {kind, ""};
  }
  EXPECT_EQ(result.fault().kind, kind) << result.fault().reason;
  return result.fault();
}

// A peer that speaks ZMTP but says what it likes.
class RawPeer {
 public:
  RawPeer(const std::string& endpoint, const std::string& name)
      : socket_(context_, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::routing_id, name);
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvhwm, 1);
    socket_.connect(endpoint);
  }
  void send(const std::vector<std::string>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto flags = i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      (void)socket_.send(zmq::buffer(parts[i]), flags);
    }
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ZmqTransport, MalformedFramesAreDroppedAndReported) {
  const auto server = gossamer::server();
  RawPeer peer(server->endpoint(), "rude\npeer");
  const Frame good = update_frame(1, 1, random_bytes(100, 1));
  const std::string header = as_text(encode_header(good.header));
  const std::string payload = as_text(good.payload.bytes);
  const auto changed = [](std::string text, std::size_t at) {
    text[at] = static_cast<char>(text[at] ^ 0x10);
    return text;
  };
  FrameHeader negative = good.header;
  negative.weight = -1;
  const std::vector<std::vector<std::string>> rubbish = {
      {""},
      {"hi"},
      {changed(header, 0), payload},
      {changed(header, 4), payload},
      {changed(header, 20), payload},
      {header, changed(payload, 50)},
      {header},
      {header, payload + "x"},
      {header, payload, "more"},
      {header, payload, "more", "and more"},
      {as_text(encode_header(hello_of(1).header)), ""},
      {as_text(encode_header(encode_signal(FrameType::heartbeat, 1, 1).header)), ""},
      {as_text(encode_header(negative)), payload},
      {std::string(5000, 'x'), payload},
  };
  for (const auto& parts : rubbish) {
    peer.send(parts);
    const Fault fault = expect_fault(*server, FaultKind::malformed);
    EXPECT_THAT(fault.reason, StartsWith("rude?peer: "));
    EXPECT_EQ(fault.peer, -1);  // a rank is for those who have said something sensible
  }
  peer.send({header, payload});
  const auto message = expect_message(*server);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->from, 1);
  EXPECT_TRUE(equal(message->frame.payload, good.payload));
  peer.send({"hi"});
  EXPECT_EQ(expect_fault(*server, FaultKind::malformed).peer, 1);
}

TEST(ZmqTransport, APayloadBeyondTheLimitClosesItsConnection) {
  constexpr std::size_t kLimit = 10'000;
  const auto server = gossamer::server(kLimit);
  const auto good = client_of(*server, 1, kLimit);
  const auto bad = client_of(*server, 2, kLimit);
  const Rank good_rank = join(*server, *good, 1);
  const Rank bad_rank = join(*server, *bad, 2);
  expect_sent(*bad, 0, update_frame(2, 1, random_bytes(kLimit + 1, 1)));
  EXPECT_EQ(expect_fault(*server, FaultKind::disconnected).peer, bad_rank);
  EXPECT_EQ(expect_fault(*bad, FaultKind::disconnected).peer, 0);
  // Others do not notice, and it may try again.
  expect_sent(*good, 0, update_frame(1, 1, random_bytes(kLimit, 1)));
  const auto message = expect_message(*server);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->from, good_rank);
  EXPECT_EQ(join_again(*server, *bad, 2), bad_rank);
}

TEST(ZmqTransport, PlainRubbishOnThePortDoesNoHarm) {
  const auto server = gossamer::server();
  const std::string endpoint = server->endpoint();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const std::string rubbish(100'000, '\xee');
  (void)!write(fd, rubbish.data(), rubbish.size());
  const auto client = client_of(*server, 1);
  expect_sent(*client, 0, hello_of(1));
  auto next = server->receive(soon());
  while (!next && next.fault().kind == FaultKind::malformed) next = server->receive(soon());
  ASSERT_TRUE(next.ok()) << next.fault().reason;
  EXPECT_EQ(next.value().frame.header.client, 1);
  close(fd);
}

TEST(ZmqTransport, APeerThatGoesIsReportedAfterWhatItSaid) {
  const auto server = gossamer::server();
  auto client = client_of(*server, 4);
  const Rank rank = join(*server, *client, 4);
  constexpr std::uint64_t kFrames = 50;
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    expect_sent(*client, 0, update_frame(4, i, random_bytes(20'000, i)));
  }
  expect_sent(*client, 0, encode_text(FrameType::leave, 1, 4, "tired"));
  EXPECT_TRUE(client->flush(soon()).ok());
  client.reset();
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    const auto message = expect_message(*server);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->frame.header.sequence, i);
  }
  const auto leave = expect_message(*server);
  ASSERT_TRUE(leave);
  EXPECT_EQ(leave->frame.header.type, FrameType::leave);
  const Fault fault = expect_fault(*server, FaultKind::disconnected);
  EXPECT_EQ(fault.peer, rank);
  EXPECT_THAT(fault.reason, HasSubstr("gossamer-client-4"));
  const auto sent = server->send(rank, encode_signal(FrameType::heartbeat, 1, 4));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.fault().kind, FaultKind::disconnected);
  EXPECT_EQ(server->receive(in(20ms)).fault().kind, FaultKind::timeout);  // said once
}

// Descriptors are reused at once, so the loss of the old connection and the first frame over the new one
// carry the same number; they must not be mixed up.
TEST(ZmqTransport, AClientThatRestartsKeepsItsRank) {
  const auto server = gossamer::server();
  const auto other = client_of(*server, 1);
  const Rank other_rank = join(*server, *other, 1);
  auto client = client_of(*server, 2);
  const Rank rank = join(*server, *client, 2);
  EXPECT_NE(rank, other_rank);
  for (int restart = 0; restart < 20; ++restart) {
    client.reset();
    client = client_of(*server, 2);
    expect_sent(*client, 0, hello_of(2));
    EXPECT_EQ(expect_fault(*server, FaultKind::disconnected).peer, rank);
    const auto message = expect_message(*server);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->from, rank);
    expect_sent(*server, rank, encode_text(FrameType::welcome, 1, 2, ""));
    const auto welcome = expect_message(*client);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->frame.header.type, FrameType::welcome);
  }
  expect_sent(*server, other_rank, encode_signal(FrameType::heartbeat, 1, 1));
  EXPECT_TRUE(expect_message(*other));
}

TEST(ZmqTransport, ASecondConnectionOfTheSameClientTakesOver) {
  const auto server = gossamer::server();
  const auto first = client_of(*server, 2);
  const Rank rank = join(*server, *first, 2);
  const auto second = client_of(*server, 2);
  expect_sent(*second, 0, hello_of(2));
  // The first is closed in its favour; whether its loss is reported depends on which comes first.
  auto next = server->receive(soon());
  if (!next) next = server->receive(soon());
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next.value().from, rank);
}

TEST(ZmqTransport, AClientLearnsThatItsServerIsGoneAndFindsTheNext) {
  auto server = gossamer::server();
  ZmqServerSettings again = server_settings(1'000'000);
  again.listen = server->endpoint();
  const auto client = make_zmq_client(client_settings(again.listen, 3, 1'000'000));
  const Rank rank = join(*server, *client, 3);
  expect_sent(*server, rank, encode_text(FrameType::finish, 1, 3, "that is all"));
  EXPECT_TRUE(server->flush(soon()).ok());
  // Before the server goes: where it has not read all that the client's side says, the kernel resets the
  // connection, and what was not received by then is lost.
  const auto finish = expect_message(*client);
  ASSERT_TRUE(finish);
  EXPECT_EQ(finish->frame.header.type, FrameType::finish);
  server.reset();
  const Fault fault = expect_fault(*client, FaultKind::disconnected);
  EXPECT_EQ(fault.peer, 0);
  EXPECT_THAT(fault.reason, HasSubstr(again.listen));
  EXPECT_EQ(client->receive(in(20ms)).fault().kind, FaultKind::timeout);

  expect_sent(*client, 0, hello_of(3));  // waits for a connection
  EXPECT_EQ(client->flush(in(20ms)).fault().kind, FaultKind::timeout);
  server = make_zmq_server(again);
  const auto hello = expect_message(*server);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->frame.header.type, FrameType::hello);
}

TEST(ZmqTransport, FramesQueuedOnALostConnectionAreNotSentOnTheNext) {
  auto server = gossamer::server(10'000'000);
  ZmqServerSettings again = server_settings(10'000'000);
  again.listen = server->endpoint();
  const auto client = make_zmq_client(client_settings(again.listen, 3, 10'000'000));
  join(*server, *client, 3);
  // More than the kernel and the server take while nobody receives: some must still wait when it breaks.
  for (std::uint64_t i = 0; i < 200; ++i)
    expect_sent(*client, 0, update_frame(3, i, random_bytes(1'000'000, 1)));
  server.reset();
  EXPECT_EQ(expect_fault(*client, FaultKind::disconnected).peer, 0);
  expect_sent(*client, 0, hello_of(3));
  server = make_zmq_server(again);
  const auto first = expect_message(*server);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->frame.header.type, FrameType::hello);
  EXPECT_TRUE(client->flush(soon()).ok());
  EXPECT_EQ(server->receive(in(20ms)).fault().kind, FaultKind::timeout);
}

TEST(ZmqTransport, AClientMayComeBeforeItsServer) {
  // A port that was free a moment ago.
  const std::string endpoint = gossamer::server()->endpoint();
  const auto client = make_zmq_client(client_settings(endpoint, 5, 100));
  expect_sent(*client, 0, hello_of(5));
  EXPECT_EQ(client->receive(in(20ms)).fault().kind, FaultKind::timeout);
  ZmqServerSettings settings = server_settings(100);
  settings.listen = endpoint;
  const auto server = make_zmq_server(settings);
  const auto hello = expect_message(*server);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->frame.header.client, 5);
}

TEST(ZmqTransport, APeerThatDoesNotReadHoldsUpNobody) {
  ZmqServerSettings settings = server_settings(1'000'000);
  settings.limits.queue_frames = 20;
  const auto server = make_zmq_server(settings);
  RawPeer stuck(server->endpoint(), "stuck");
  const Frame hello = hello_of(9);
  stuck.send({as_text(encode_header(hello.header)), as_text(hello.payload.bytes)});
  const auto met = expect_message(*server);
  ASSERT_TRUE(met);
  const Frame model = encode_model(1, 1, 9, 0, {250'000, random_bytes(1'000'000, 1)});
  bool full = false;
  for (int i = 0; i < 1000 && !full; ++i) {
    const auto sent = server->send(met->from, model);
    full = !sent.ok();
    if (full) {
      EXPECT_EQ(sent.fault().kind, FaultKind::timeout);
      EXPECT_EQ(sent.fault().peer, met->from);
    }
  }
  EXPECT_TRUE(full);
  const auto client = client_of(*server, 1);
  const Rank rank = join(*server, *client, 1);
  expect_sent(*server, rank, model);
  const auto message = expect_message(*client);
  ASSERT_TRUE(message);
  EXPECT_TRUE(equal(message->frame.payload, model.payload));
}

TEST(ZmqTransport, AServerThatDoesNotReceiveHoldsALimitedAmount) {
  ZmqServerSettings settings = server_settings(1'000'000);
  settings.limits.queue_frames = 4;
  const auto server = make_zmq_server(settings);
  const auto client = client_of(*server, 1);
  constexpr std::uint64_t kFrames = 300;
  const SharedBytes payload = random_bytes(300'000, 1);
  for (std::uint64_t i = 0; i < kFrames; ++i) expect_sent(*client, 0, update_frame(1, i, payload));
  // 90 MB do not fit into 4 + 16 frames and the kernel's buffers: the sender is held back, not the memory
  // filled.
  EXPECT_EQ(client->flush(in(300ms)).fault().kind, FaultKind::timeout);
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    const auto message = expect_message(*server);
    ASSERT_TRUE(message);
    ASSERT_EQ(message->frame.header.sequence, i);
  }
  EXPECT_TRUE(client->flush(soon()).ok());
}

TEST(ZmqTransport, PayloadsAreHeldUntilTheyHaveLeftAndNoLonger) {
  const auto server = gossamer::server();
  const auto client = client_of(*server, 1);
  join(*server, *client, 1);
  auto payload = std::make_shared<const ByteBuffer>(1'000'000);
  const std::weak_ptr<const ByteBuffer> watch = payload;
  const std::span<const std::byte> bytes{payload->data(), payload->size()};
  expect_sent(*client, 0, update_frame(1, 1, {std::move(payload), bytes}));
  ASSERT_TRUE(expect_message(*server));
  EXPECT_TRUE(client->flush(soon()).ok());
  // ZeroMQ's own thread lets go of it, a moment after the last byte has left.
  const auto deadline = soon();
  while (!watch.expired() && Transport::Clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(watch.expired());
}

TEST(ZmqTransport, ListeningBeyondLoopbackNeedsSecurityInsecure) {
  for (const std::string address : {"tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://10.1.2.3:5555"}) {
    ZmqServerSettings settings = server_settings(1);
    settings.listen = address;
    try {
      make_zmq_server(settings);
      ADD_FAILURE() << address << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("server.listen = " + address));
      EXPECT_THAT(error.what(), HasSubstr("security.insecure"));
    }
  }
  ZmqServerSettings settings = server_settings(1);
  settings.listen = "tcp://0.0.0.0:0";
  settings.insecure = true;
  EXPECT_THAT(make_zmq_server(settings)->endpoint(), StartsWith("tcp://0.0.0.0:"));
}

TEST(ZmqTransport, LoopbackHasSeveralNames) {
  for (const std::string address : {"tcp://127.0.0.1:0", "tcp://127.0.0.2:*", "tcp://localhost:0"}) {
    ZmqServerSettings settings = server_settings(100);
    settings.listen = address;
    const auto server = make_zmq_server(settings);
    const auto client = client_of(*server, 1, 100);
    EXPECT_EQ(join(*server, *client, 1), 1) << address;
  }
}

TEST(ZmqTransport, AddressesThatAreNoneAreRefusedByName) {
  for (const std::string address :
       {"", "127.0.0.1:5555", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:http",
        "tcp://127.0.0.1:65536", "tcp://:5555", "ipc://", "udp://127.0.0.1:1", "inproc://x"}) {
    ZmqServerSettings server = server_settings(1);
    server.listen = address;
    ZmqClientSettings client = client_settings(address, 0, 1);
    try {
      make_zmq_server(server);
      ADD_FAILURE() << "listens on " << address;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("server.listen = " + address));
    }
    try {
      make_zmq_client(client);
      ADD_FAILURE() << "connects to " << address;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("server.connect = " + address));
    }
  }
}

TEST(ZmqTransport, AnAddressInUseIsAFaultOfThisProcess) {
  const auto server = gossamer::server();
  ZmqServerSettings settings = server_settings(1);
  settings.listen = server->endpoint();
  EXPECT_THROW(make_zmq_server(settings), TransportError);
}

TEST(ZmqTransport, TooManyPeersAreNotHeard) {
  ZmqServerSettings settings = server_settings(100);
  settings.max_peers = 1;
  const auto server = make_zmq_server(settings);
  const auto first = client_of(*server, 1, 100);
  EXPECT_EQ(join(*server, *first, 1), 1);
  const auto second = client_of(*server, 2, 100);
  expect_sent(*second, 0, hello_of(2));
  EXPECT_THAT(expect_fault(*server, FaultKind::malformed).reason, HasSubstr("more than 1 peers"));
}

// The bytes that we say we sent are those that the kernel carried, within 1%.
TEST(ZmqTransport, TrafficIsWhatTheKernelCarries) {
  const auto server = gossamer::server(40'000'000);
  const std::string endpoint = server->endpoint();
  const auto port = static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
  const auto client = client_of(*server, 1, 40'000'000);
  const Rank rank = join(*server, *client, 1);
  for (std::uint64_t i = 0; i < 20; ++i) {
    expect_sent(*client, 0, update_frame(1, i, random_bytes(50'000, i)));
    ASSERT_TRUE(expect_message(*server));
  }
  expect_sent(*server, rank, encode_model(1, 1, 1, 1, {10'000'000, random_bytes(40'000'000, 1)}));
  ASSERT_TRUE(expect_message(*client));

  const TcpCounters counters = read_tcp_counters(port);
  EXPECT_EQ(counters.connections, 1);
  const Traffic& up = client->traffic();
  const Traffic& down = server->traffic();
  const auto up_bytes = static_cast<double>(up.update_bytes + up.control_bytes);
  const auto down_bytes = static_cast<double>(down.model_bytes + down.control_bytes);
  EXPECT_NEAR(static_cast<double>(counters.bytes_received), up_bytes, 0.01 * up_bytes);
  EXPECT_NEAR(static_cast<double>(counters.bytes_sent), down_bytes, 0.01 * down_bytes);
}

// Whoever owns the server is busy: it calls nothing, and its clients hear from it all the same.
TEST(ZmqTransport, KeepsClientsAliveWhileTheCallerIsBusy) {
  const auto server = server_that_keeps_alive();
  const auto client = client_of(*server, 3);
  join(*server, *client, 3);
  const std::uint64_t before = server->traffic().control_bytes;
  for (int heartbeat = 0; heartbeat < 5; ++heartbeat) {
    const auto message = expect_message(*client);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->frame.header.type, FrameType::heartbeat);
  }
  EXPECT_EQ(server->traffic().control_bytes, before) << "counted on the caller's thread";
  EXPECT_EQ(server->receive(in(0ms)).fault().kind, FaultKind::timeout);
  // What was counted before may be the first of them already.
  EXPECT_GE(server->traffic().control_bytes, 5 * kFrameHeaderBytes);
}

}  // namespace
}  // namespace gossamer
