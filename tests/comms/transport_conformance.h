#pragma once

// What every transport promises, as tests that each backend's file instantiates:
//   INSTANTIATE_TEST_SUITE_P(Name, TransportConformance, testing::Values(Backend{...}), backend_name);

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comms/codec.h"
#include "comms/transport.h"
#include "core/rng.h"

namespace gossamer {

using namespace std::chrono_literals;

inline Transport::Clock::time_point in(std::chrono::milliseconds time) {
  return Transport::Clock::now() + time;
}
// Long enough for a loaded machine; a test that waits for it has failed.
inline Transport::Clock::time_point soon() { return in(30s); }

// A server (index 0) and its clients, each with a transport of its own.
class World {
 public:
  virtual ~World() = default;
  virtual int size() const = 0;
  // Runs the body for each participant, all at the same time; with MPI, for the one that this process is.
  virtual void run(const std::function<void(Transport&, int index)>& body) = 0;
};

struct Backend {
  std::string name;
  std::function<std::unique_ptr<World>(std::uint64_t max_payload_bytes)> make;
};
inline std::string backend_name(const testing::TestParamInfo<Backend>& info) { return info.param.name; }

class TransportConformance : public testing::TestWithParam<Backend> {};

// Different for different seeds, and no part of it like another.
inline SharedBytes random_bytes(std::size_t size, std::uint64_t seed) {
  std::uint64_t state = Rng(seed, Purpose::test).bits64();
  ByteBuffer bytes(size);
  for (std::size_t i = 0; i < size; i += sizeof(state)) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    std::memcpy(bytes.data() + i, &state, std::min(sizeof(state), size - i));
  }
  return SharedBytes::of(std::move(bytes));
}

inline bool equal(const SharedBytes& a, const SharedBytes& b) {
  return a.size() == b.size() &&
         (a.size() == 0 || std::memcmp(a.bytes.data(), b.bytes.data(), a.size()) == 0);
}

inline Frame update_frame(ClientId client, std::uint64_t sequence, SharedBytes payload) {
  UpdateInfo info;
  info.client = client;
  info.round = 1;
  info.sequence = sequence;
  info.weight = 1;
  const std::size_t elements = payload.size() / sizeof(float);
  return encode_update(1, {info, {elements, std::move(payload)}});
}

// The next message; a fault fails the test and gives nothing.
inline std::optional<Message> expect_message(Transport& transport) {
  auto result = transport.receive(soon());
  if (!result) {
    ADD_FAILURE() << result.fault().reason;
    return std::nullopt;
  }
  return std::move(result).value();
}

inline void expect_sent(Transport& transport, Rank to, const Frame& frame) {
  const auto sent = transport.send(to, frame);
  EXPECT_TRUE(sent.ok()) << sent.fault().reason;
}

// Clients say hello and wait for the welcome; the server learns which rank each client has.
inline std::map<ClientId, Rank> meet(Transport& transport, int index, int size) {
  std::map<ClientId, Rank> ranks;
  if (index == 0) {
    while (static_cast<int>(ranks.size()) < size - 1) {
      const auto message = expect_message(transport);
      if (!message) return ranks;
      EXPECT_EQ(message->frame.header.type, FrameType::hello);
      ranks[message->frame.header.client] = message->from;
    }
    for (const auto& [client, rank] : ranks) {
      expect_sent(transport, rank, encode_text(FrameType::welcome, 1, client, ""));
    }
  } else {
    expect_sent(transport, 0, encode_hello(1, index, Hello{1, 2, 3, 4}));
    const auto message = expect_message(transport);
    if (message) {
      EXPECT_EQ(message->from, 0);
      EXPECT_EQ(message->frame.header.type, FrameType::welcome);
      EXPECT_EQ(message->frame.header.client, index);
    }
  }
  return ranks;
}

// The server says that it is over, the clients leave.
inline void part(Transport& transport, int index, const std::map<ClientId, Rank>& ranks) {
  if (index == 0) {
    for (const auto& [client, rank] : ranks) {
      expect_sent(transport, rank, encode_text(FrameType::finish, 1, client, "done"));
    }
    for (std::size_t left = ranks.size(); left > 0;) {
      const auto result = transport.receive(soon());
      if (!result && result.fault().kind == FaultKind::disconnected) continue;  // one that has left already
      ASSERT_TRUE(result.ok()) << result.fault().reason;
      EXPECT_EQ(result.value().frame.header.type, FrameType::leave);
      --left;
    }
  } else {
    const auto message = expect_message(transport);
    if (message) {
      EXPECT_EQ(message->frame.header.type, FrameType::finish);
    }
    expect_sent(transport, 0, encode_text(FrameType::leave, 1, index, "done"));
  }
  EXPECT_TRUE(transport.flush(soon()).ok());
}

inline std::vector<std::size_t> payload_sizes() {
  std::vector<std::size_t> sizes{0, 1, 3, 4, 5};
  for (unsigned k = 5; k <= 20; k += 3) {
    for (const int d : {-1, 0, 1}) sizes.push_back((std::size_t{1} << k) + static_cast<std::size_t>(d));
  }
  sizes.push_back(40'000'000);
  return sizes;
}

TEST_P(TransportConformance, PayloadsOfAllSizesComeBackAsTheyWere) {
  const auto world = GetParam().make(40'000'000);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    const auto sizes = payload_sizes();
    if (index == 0) {
      for (std::size_t i = 0; i < ranks.size() * sizes.size(); ++i) {
        const auto message = expect_message(transport);
        if (!message) return;
        const FrameHeader& header = message->frame.header;
        EXPECT_EQ(ranks.at(header.client), message->from);
        expect_sent(transport, message->from,
                    encode_model(1, 2, header.client, header.sequence,
                                 {message->frame.payload.size(), message->frame.payload}));
      }
    } else {
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const SharedBytes payload = random_bytes(sizes[i], 1000 * static_cast<std::uint64_t>(index) + i);
        expect_sent(transport, 0, update_frame(index, i, payload));
        const auto message = expect_message(transport);
        if (!message) return;
        EXPECT_EQ(message->frame.header.type, FrameType::model);
        EXPECT_EQ(message->frame.header.round, 2);
        EXPECT_EQ(message->frame.header.client, index);
        EXPECT_EQ(message->frame.header.sequence, i);
        EXPECT_EQ(message->frame.header.elements, sizes[i]);
        EXPECT_TRUE(equal(message->frame.payload, payload)) << sizes[i];
      }
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, FramesOfOnePeerArriveInOrder) {
  constexpr std::uint64_t kFrames = 900;
  const auto world = GetParam().make(1'000'000);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    if (index == 0) {
      std::map<Rank, std::uint64_t> next;
      for (std::size_t i = 0; i < ranks.size() * kFrames; ++i) {
        const auto message = expect_message(transport);
        if (!message) return;
        const FrameHeader& header = message->frame.header;
        EXPECT_EQ(ranks.at(header.client), message->from);
        ASSERT_EQ(header.sequence, next[message->from]++);
      }
    } else {
      // Large ones among many small ones: the small must not overtake.
      for (std::uint64_t i = 0; i < kFrames; ++i) {
        const std::size_t size = i % 100 == 50 ? 1'000'000 : i % 7 * 13;
        expect_sent(transport, 0, update_frame(index, i, random_bytes(size, i)));
      }
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, OnePayloadGoesToEveryClient) {
  const auto world = GetParam().make(4'000'000);
  const SharedBytes payload = random_bytes(4'000'000, 5);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    if (index == 0) {
      const Frame model = encode_model(1, 1, 0, 10, {1'000'000, payload});
      for (const auto& [client, rank] : ranks) {
        expect_sent(transport, rank, readdress(model, client));
      }
    } else {
      const auto message = expect_message(transport);
      if (!message) return;
      EXPECT_EQ(message->frame.header.client, index);
      EXPECT_EQ(base_of(message->frame.header), 10U);
      EXPECT_TRUE(equal(message->frame.payload, payload));
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, SendersOfLargeFramesMayFlushTowardsEachOther) {
  const auto world = GetParam().make(8'000'000);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    const auto payload_to = [&](int from, int to) {
      return random_bytes(8'000'000, static_cast<std::uint64_t>(10 * from + to));
    };
    if (index == 0) {
      for (const auto& [client, rank] : ranks) {
        expect_sent(transport, rank,
                    encode_model(1, 1, client, 0, {0, payload_to(0, static_cast<int>(client))}));
      }
    } else {
      expect_sent(transport, 0, update_frame(index, 0, payload_to(index, 0)));
    }
    EXPECT_TRUE(transport.flush(soon()).ok());
    for (std::size_t i = 0; i < (index == 0 ? ranks.size() : 1); ++i) {
      const auto message = expect_message(transport);
      if (!message) return;
      const int client = static_cast<int>(message->frame.header.client);
      EXPECT_TRUE(equal(message->frame.payload, index == 0 ? payload_to(client, 0) : payload_to(0, index)));
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, ReceiveEndsAtItsDeadline) {
  const auto world = GetParam().make(100);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    if (index == 0) {
      for (std::size_t i = 0; i < ranks.size(); ++i) expect_message(transport);
    } else {
      const auto deadline = in(50ms);
      const auto nothing = transport.receive(deadline);
      const auto now = Transport::Clock::now();
      ASSERT_FALSE(nothing.ok());
      EXPECT_EQ(nothing.fault().kind, FaultKind::timeout);
      EXPECT_GE(now, deadline);
      EXPECT_LT(now, deadline + 10s);
      // A deadline that has passed: what is there, or at once nothing.
      EXPECT_EQ(transport.receive(Transport::Clock::now() - 1s).fault().kind, FaultKind::timeout);
      expect_sent(transport, 0, encode_signal(FrameType::heartbeat, 1, index));
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, AFrameToOneselfIsReceived) {
  const auto world = GetParam().make(100);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    if (index == 0) {
      const SharedBytes payload = random_bytes(100, 3);
      expect_sent(transport, transport.self(), update_frame(7, 1, payload));
      const auto message = expect_message(transport);
      if (!message) return;
      EXPECT_EQ(message->from, transport.self());
      EXPECT_EQ(message->frame.header.client, 7);
      EXPECT_TRUE(equal(message->frame.payload, payload));
      EXPECT_EQ(transport.traffic().update_bytes, kFrameHeaderBytes + 100);
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, TrafficIsCountedByKind) {
  const auto world = GetParam().make(1000);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    if (index == 0) {
      for (const auto& [client, rank] : ranks) {
        expect_sent(transport, rank, encode_model(1, 1, client, 0, {100, random_bytes(400, 1)}));
        expect_sent(transport, rank, encode_signal(FrameType::heartbeat, 1, client));
      }
      const Traffic& traffic = transport.traffic();
      EXPECT_EQ(traffic.model_bytes, ranks.size() * (kFrameHeaderBytes + 400));
      EXPECT_EQ(traffic.update_bytes, 0U);
      EXPECT_EQ(traffic.control_bytes, ranks.size() * 2 * kFrameHeaderBytes);  // welcome and ack
    } else {
      expect_message(transport);
      expect_message(transport);
      expect_sent(transport, 0, encode_signal(FrameType::heartbeat, 1, index));
      const Traffic& traffic = transport.traffic();
      EXPECT_EQ(traffic.model_bytes, 0U);
      EXPECT_EQ(traffic.control_bytes, 2 * kFrameHeaderBytes + kHelloBytes);
    }
    if (index == 0) {
      for (std::size_t i = 0; i < ranks.size(); ++i) expect_message(transport);
    }
    part(transport, index, ranks);
  });
}

TEST_P(TransportConformance, ARankThatDoesNotExistIsDisconnected) {
  const auto world = GetParam().make(100);
  world->run([&](Transport& transport, int index) {
    const auto ranks = meet(transport, index, world->size());
    for (const Rank nobody : {-1, 1'000'000}) {
      const auto sent = transport.send(nobody, encode_signal(FrameType::heartbeat, 1, 0));
      ASSERT_FALSE(sent.ok());
      EXPECT_EQ(sent.fault().kind, FaultKind::disconnected);
      EXPECT_EQ(sent.fault().peer, nobody);
    }
    part(transport, index, ranks);
  });
}

}  // namespace gossamer
