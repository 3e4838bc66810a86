#pragma once

#include <memory>

#include "client/datasets/dataset.h"
#include "client/datasets/partition.h"

namespace gossamer {

std::unique_ptr<FederatedData> make_digits(const Options& options);
std::unique_ptr<FederatedData> make_mnist(const Options& options);
std::unique_ptr<FederatedData> make_fashion_mnist(const Options& options);
std::unique_ptr<FederatedData> make_cifar10(const Options& options);
std::unique_ptr<FederatedData> make_shakespeare(const Options& options);
std::unique_ptr<FederatedData> make_csv(const Options& options);
std::unique_ptr<FederatedData> make_npy(const Options& options);

std::unique_ptr<Partition> make_iid_partition(const Options& options);
std::unique_ptr<Partition> make_shards_partition(const Options& options);
std::unique_ptr<Partition> make_dirichlet_partition(const Options& options);
std::unique_ptr<Partition> make_quantity_skew_partition(const Options& options);
std::unique_ptr<Partition> make_natural_partition(const Options& options);

}  // namespace gossamer
