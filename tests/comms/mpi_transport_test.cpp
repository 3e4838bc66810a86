// Run by mpirun at several rank counts; every rank runs every test, in the same order.
#include "comms/mpi_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdint>

#include "tests/comms/transport_conformance.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

// main()'s, for the tests: MPI is one per process.
MpiSession* mpi_session = nullptr;

class MpiWorld final : public World {
 public:
  MpiWorld(std::uint64_t max_payload_bytes, std::size_t chunk_bytes)
      : transport_(make_mpi_transport(*mpi_session, max_payload_bytes, chunk_bytes)) {}

  int size() const override { return mpi_session->world_size(); }
  void run(const std::function<void(Transport&, int)>& body) override {
    body(*transport_, mpi_session->rank());
  }

 private:
  std::unique_ptr<Transport> transport_;
};

Backend backend(std::string name, std::size_t chunk_bytes) {
  return {std::move(name),
          [chunk_bytes](std::uint64_t max) { return std::make_unique<MpiWorld>(max, chunk_bytes); }};
}

INSTANTIATE_TEST_SUITE_P(Mpi, TransportConformance,
                         testing::Values(backend("whole", kMpiChunkBytes), backend("chunked", 100'003)),
                         backend_name);

TEST(MpiTransport, RanksAreTheWorlds) {
  const auto transport = make_mpi_transport(*mpi_session, 100);
  EXPECT_EQ(transport->self(), mpi_session->rank());
}

TEST(MpiTransport, PayloadsLandAligned) {
  const auto transport = make_mpi_transport(*mpi_session, 1'000'000);
  if (mpi_session->rank() == 0) {
    for (int i = 1; i < mpi_session->world_size(); ++i) {
      const auto message = expect_message(*transport);
      if (!message) return;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(message->frame.payload.bytes.data()) % 64, 0U);
    }
  } else {
    expect_sent(*transport, 0, update_frame(mpi_session->rank(), 1, random_bytes(1001, 1)));
    EXPECT_TRUE(transport->flush(soon()).ok());
  }
}

TEST(MpiTransport, APayloadBeyondTheLimitIsRefusedBeforeItIsAllocated) {
  constexpr std::uint64_t kLimit = 10'000'000;
  const auto transport = make_mpi_transport(*mpi_session, kLimit);
  if (mpi_session->rank() == 0) {
    for (int i = 1; i < mpi_session->world_size(); ++i) {
      const auto refused = transport->receive(soon());
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.fault().kind, FaultKind::malformed);
      EXPECT_THAT(refused.fault().reason, HasSubstr("10000001 bytes; at most 10000000"));
      EXPECT_EQ(transport->send(refused.fault().peer, encode_signal(FrameType::heartbeat, 1, 1)).fault().kind,
                FaultKind::disconnected);
    }
  } else {
    expect_sent(*transport, 0, update_frame(mpi_session->rank(), 1, random_bytes(kLimit + 1, 1)));
    EXPECT_EQ(transport->flush(in(100ms)).fault().kind, FaultKind::timeout);  // nobody takes it
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

// A rank that waits leaves its core to others: it uses a small part of the time that it waits.
TEST(MpiTransport, AnIdleRankSleeps) {
  const auto transport = make_mpi_transport(*mpi_session, 100);
  MPI_Barrier(MPI_COMM_WORLD);
  const auto cpu_before = std::clock();
  EXPECT_EQ(transport->receive(in(400ms)).fault().kind, FaultKind::timeout);
  const double cpu_s = static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
  EXPECT_LT(cpu_s, 0.2);
  MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  gossamer::MpiSession session;
  gossamer::mpi_session = &session;
  return RUN_ALL_TESTS();
}
