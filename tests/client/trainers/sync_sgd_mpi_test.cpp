// Run by mpirun at several rank counts: ranks that step together are one process with all their batches.
#include <mpi.h>

#include "comms/collectives/mpi_link.h"
#include "sync_sgd_support.h"

namespace gossamer {
namespace {

// main()'s, for the tests: MPI is one per process.
MpiSession* mpi_session = nullptr;

class SyncSgdOverMpi : public ::testing::TestWithParam<std::string> {};

TEST_P(SyncSgdOverMpi, IsOneProcessWithAllBatches) {
  const auto topology = testing::topology_named(GetParam());
  const auto all_reduce = topology->kind() == TopologyKind::library_all_reduce
                              ? make_mpi_all_reduce(*mpi_session)
                              : make_all_reduce(*topology, make_mpi_link(*mpi_session, *topology));
  for (const char* model : {"mlp", "cnn"}) {
    testing::Together together{{}, {{"model.name", model}, {"client.lr", "0.05"}}};
    for (int rank = 0; rank < mpi_session->world_size(); ++rank) together.sizes.push_back(6 + rank);
    const Update update = together.train_peer(*all_reduce, *topology, 20'000);
    testing::expect_close(update.values, together.train_alone().values);
    FloatBuffer first = update.values;
    MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_FLOAT, 0, MPI_COMM_WORLD);
    EXPECT_EQ(first, update.values) << model;
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

INSTANTIATE_TEST_SUITE_P(Topologies, SyncSgdOverMpi, ::testing::Values("ring", "all_to_all", "mpi_allreduce"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  gossamer::MpiSession session;
  gossamer::mpi_session = &session;
  return RUN_ALL_TESTS();
}
