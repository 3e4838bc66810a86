#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/registry.h"
#include "core/rng.h"
#include "core/types.h"

namespace gossamer {

// What a partition is told of the examples it divides.
struct PartitionTask {
  std::string dataset;        // its name, for messages
  std::int64_t examples = 0;  // at most 2^32 - 1
  std::int64_t classes = 0;
  std::span<const std::int32_t> labels;  // one per example; empty where an example has no single class
  std::span<const std::int32_t> owners;  // the natural client of each example; empty where there is none
  std::int64_t clients = 0;
  std::uint64_t seed = 0;
};

// Which examples each client has. Every example has one client and every client at least one example.
class Division {
 public:
  // Takes each client's list of examples.
  explicit Division(const std::vector<std::vector<std::uint32_t>>& lists);
  // Client k takes the next sizes[k] entries of `order`. Requires that the sizes add up to order.size().
  Division(std::span<const std::int64_t> sizes, std::vector<std::uint32_t> order);

  std::int64_t clients() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  std::span<const std::uint32_t> of(ClientId client) const {
    const auto begin = offsets_[static_cast<std::size_t>(client)];
    return std::span(order_).subspan(begin, offsets_[static_cast<std::size_t>(client) + 1] - begin);
  }

 private:
  std::vector<std::size_t> offsets_;
  std::vector<std::uint32_t> order_;
};

// How training examples are spread over clients. Data that exists (files) is divided; data that is drawn on
// demand (digits) asks per client for a size and labels, in time and memory that do not depend on the number
// of clients, and gets the same kind of skew. Immutable and thread-safe.
class Partition {
 public:
  virtual ~Partition() = default;

  // Deterministic in the task. Throws ConfigError where the data cannot be divided in this way.
  virtual Division divide(const PartitionTask& task) const = 0;

  // The number of examples of a client whose peers have `mean` on average; at least 1.
  virtual std::int64_t draw_size(std::uint64_t seed, ClientId client, std::int64_t mean) const;
  // `size` labels in [0, classes).
  virtual std::vector<std::uint8_t> draw_labels(std::uint64_t seed, ClientId client, std::int64_t size,
                                                int classes) const;
  // Whether a client's examples come from one source (a writer), and differ in style from its peers'.
  virtual bool one_source() const { return false; }
};

// `data.partition`.
const Registry<Partition>& partitions();

// For implementations of divide().

// Throws ConfigError unless there are at least as many examples as clients.
void check_enough(const PartitionTask& task);
// Throws ConfigError unless every example has a class; `partition` names the method that needs it.
void check_labels(const PartitionTask& task, const std::string& partition);
// The examples in random order.
std::vector<std::uint32_t> shuffled_examples(const PartitionTask& task, Rng& rng);
// Splits `total` into `parts` sizes that differ by at most 1.
std::vector<std::int64_t> equal_sizes(std::int64_t total, std::int64_t parts);
// A point of the simplex from the symmetric Dirichlet distribution with parameter alpha.
std::vector<double> draw_dirichlet(Rng& rng, double alpha, std::size_t dimensions);
// Splits `total` in proportion to `weights` (any sum above 0) by largest remainder.
std::vector<std::int64_t> proportional_sizes(std::int64_t total, std::span<const double> weights);

}  // namespace gossamer
