#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/compressed_mean.h"
#include "core/rng.h"

namespace gossamer::mean_ring {

using Keys = std::map<std::string, std::string>;

inline constexpr std::size_t kUpdateFloats = 1003;

inline ParameterLayout layout() {
  return ParameterLayout({{"first", {30, 20}, 0, 0, TensorRole::parameter},
                          {"second", {400}, 0, 0, TensorRole::parameter},
                          {"running", {3}, 0, 0, TensorRole::buffer}});
}

inline Options options_of(const Keys& keys) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, ""));
  add_methods(*schema, topologies().describe());
  add_compression_options(*schema);
  Options options(schema);
  options.set("topology.name", "ring");
  options.set("compression.min_size", "8");
  for (const auto& [key, value] : keys) options.set(key, value);
  return options;
}

// As many ranks as there are weights, in one process.
class Ring {
 public:
  Ring(const Keys& keys, std::vector<float> weights)
      : options_(options_of(keys)), topology_(topologies().make(options_)), weights_(std::move(weights)) {
    for (std::size_t rank = 0; rank < weights_.size(); ++rank)
      means_.push_back(make_compressed_mean(options_, layout(), *topology_, static_cast<Rank>(rank),
                                            std::ssize(weights_)));
  }

  // The mean that every rank has of these vectors.
  FloatBuffer mean_of(std::vector<FloatBuffer> vectors, Round round) {
    std::vector<Routes> routes;
    std::vector<MessageHandler*> handlers;
    for (std::size_t rank = 0; rank < means_.size(); ++rank) {
      means_[rank]->begin(vectors[rank], weights_[rank], {round});
      routes.push_back(means_[rank]->routes());
      handlers.push_back(means_[rank].get());
    }
    bytes_ = 0;
    const auto count = [this](Rank, Rank, std::size_t bytes) { bytes_ += bytes; };
    EXPECT_TRUE(exchange_in_process(routes, handlers, count, [] {}).ok());
    for (std::size_t rank = 0; rank < means_.size(); ++rank) {
      EXPECT_TRUE(means_[rank]->finish().ok());
      EXPECT_EQ(vectors[rank], vectors[0]) << "rank " << rank;
    }
    return vectors[0];
  }

  std::size_t bytes() const { return bytes_; }
  CompressedMean& rank(std::size_t rank) { return *means_[rank]; }
  // What a rank has left out of each float.
  FloatBuffer leftovers(std::size_t rank) const {
    const SharedFloats both = means_[rank]->with_leftovers(FloatBuffer(kUpdateFloats, 0.0F));
    return {both.values.begin() + kUpdateFloats, both.values.end()};
  }
  CompressedMeanCost cost() const {
    return cost_of_compressed_mean(options_, layout(), *topology_, static_cast<int>(weights_.size()));
  }

 private:
  Options options_;
  std::unique_ptr<Topology> topology_;
  std::vector<float> weights_;
  std::vector<std::unique_ptr<CompressedMean>> means_;
  std::size_t bytes_ = 0;
};

inline std::vector<FloatBuffer> random_updates(std::size_t ranks, std::uint64_t seed) {
  std::vector<FloatBuffer> vectors;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    Rng rng(seed, Purpose::test, rank);
    FloatBuffer& vector = vectors.emplace_back(kUpdateFloats);
    for (float& x : vector) x = static_cast<float>(rng.normal());
  }
  return vectors;
}

inline std::vector<float> weights_of(std::size_t ranks) {
  std::vector<float> weights;
  for (std::size_t rank = 0; rank < ranks; ++rank) weights.push_back(static_cast<float>(100 + 37 * rank));
  return weights;
}

inline FloatBuffer exact_mean(const std::vector<FloatBuffer>& vectors, const std::vector<float>& weights) {
  FloatBuffer mean(kUpdateFloats);
  for (std::size_t i = 0; i < kUpdateFloats; ++i) {
    double sum = 0, total = 0;
    for (std::size_t rank = 0; rank < vectors.size(); ++rank) {
      sum += static_cast<double>(weights[rank]) * vectors[rank][i];
      total += weights[rank];
    }
    mean[i] = static_cast<float>(sum / total);
  }
  return mean;
}

inline Keys operator+(Keys left, const Keys& right) {
  for (const auto& [key, value] : right) left[key] = value;
  return left;
}

}  // namespace gossamer::mean_ring
