// Run by mpirun at several rank counts; every rank runs every test, in the same order.
#include <mpi.h>

#include <functional>

#include "comms/collectives/mpi_link.h"
#include "tests/comms/all_reduce_conformance.h"

namespace gossamer {
namespace {

// main()'s, for the tests: MPI is one per process.
MpiSession* mpi_session = nullptr;

struct Case {
  std::string name;
  std::string topology;  // empty: MPI's own
  MpiPath path = MpiPath::fastest;
};

class MpiAllReduce : public testing::TestWithParam<Case> {
 protected:
  MpiAllReduce() {
    if (GetParam().topology.empty()) {
      all_reduce_ = make_mpi_all_reduce(*mpi_session);
    } else {
      topology_ = make_topology(GetParam().topology);
      all_reduce_ = make_all_reduce(*topology_, make_mpi_link(*mpi_session, *topology_, {}, GetParam().path));
    }
  }
  ~MpiAllReduce() override { MPI_Barrier(MPI_COMM_WORLD); }  // all ranks destroy it together

  std::unique_ptr<Topology> topology_;
  std::unique_ptr<AllReduce> all_reduce_;
};

INSTANTIATE_TEST_SUITE_P(Mpi, MpiAllReduce,
                         testing::Values(Case{"ring", "ring"}, Case{"grouped_ring", "grouped_ring"},
                                         Case{"all_to_all", "all_to_all"},
                                         Case{"ring_messages", "ring", MpiPath::messages},
                                         Case{"all_to_all_messages", "all_to_all", MpiPath::messages},
                                         Case{"mpi_allreduce", ""}),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(MpiAllReduce, KnowsItsWorld) {
  EXPECT_EQ(all_reduce_->self(), mpi_session->rank());
  EXPECT_EQ(all_reduce_->world_size(), mpi_session->world_size());
}

TEST_P(MpiAllReduce, GathersEverySize) { gather_awkward_sizes(*all_reduce_); }

TEST_P(MpiAllReduce, IsTheSumForEverySize) { sum_awkward_sizes(*all_reduce_, topology_.get()); }

TEST_P(MpiAllReduce, SumsSeveralBucketsAtOnce) { sum_buckets(*all_reduce_, topology_.get()); }

TEST_P(MpiAllReduce, EndsWithTheSameBitsOnAllRanks) {
  FloatBuffer mine = vector_of(all_reduce_->self(), 300'007, 5);
  ASSERT_TRUE(all_reduce_->all_reduce(mine, all_reduce_deadline()).ok());
  FloatBuffer first = mine;
  MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_FLOAT, 0, MPI_COMM_WORLD);
  EXPECT_EQ(std::memcmp(first.data(), mine.data(), mine.size() * sizeof(float)), 0);
}

TEST_P(MpiAllReduce, SumsALargeVector) {
  if (mpi_session->world_size() != 2) GTEST_SKIP() << "100 MB a rank, at two ranks only";
  sum_large_vector(*all_reduce_);
}

// What is not collected is let go when the all-reduce is, on both paths.
TEST_P(MpiAllReduce, ARankThatDoesNotComeIsATimeout) {
  if (topology_ == nullptr || mpi_session->world_size() == 1) GTEST_SKIP() << "MPI's own waits for everybody";
  const Rank last = mpi_session->world_size() - 1;
  if (mpi_session->rank() != last) {
    FloatBuffer values(100'000);
    const auto done = all_reduce_->all_reduce(values, AllReduce::Clock::now() + 50ms);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.fault().kind, FaultKind::timeout);
    EXPECT_GE(done.fault().peer, 0);
  }
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
