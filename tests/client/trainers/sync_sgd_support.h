#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "client/trainers/gradient_exchange.h"
#include "comms/topologies/topology.h"
#include "support.h"

namespace gossamer::testing {

using Settings = std::vector<std::pair<std::string, std::string>>;

inline std::unique_ptr<Topology> topology_named(const std::string& name) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, ""));
  add_methods(*schema, topologies().describe());
  Options options(schema);
  options.set("topology.name", name);
  return topologies().make(options);
}

// Peers whose batches together are one batch of another process: `sizes[k]` examples each, all in every step.
struct Together {
  std::vector<std::int64_t> sizes;
  Settings given;  // of the trainers, besides the algorithm
  std::string factors = "auto";
  std::int64_t batch_size = 0;  // 0: all; otherwise at least the largest of `sizes`

  std::shared_ptr<const ExampleSet> part(std::size_t peer) const {
    return patterns(sizes[peer], 100 + static_cast<std::uint64_t>(peer));
  }
  std::shared_ptr<const ExampleSet> whole() const {
    std::vector<float> features;
    std::vector<std::int64_t> labels;
    for (std::size_t peer = 0; peer < sizes.size(); ++peer) {
      const auto examples = part(peer);
      const auto count = static_cast<std::size_t>(examples->size());
      std::vector<std::int64_t> indices(count);
      std::iota(indices.begin(), indices.end(), 0);
      std::vector<float> more(count * 784);
      std::vector<std::int64_t> classes(count);
      examples->gather(indices, more.data(), classes.data());
      features.insert(features.end(), more.begin(), more.end());
      labels.insert(labels.end(), classes.begin(), classes.end());
    }
    return std::make_shared<MemorySet>(patterns(1, 1)->shape(), std::move(features), std::move(labels));
  }

  Update train(const std::string& algorithm, std::shared_ptr<const ExampleSet> examples, ClientId client,
               GradientExchange* exchange) const {
    Settings all = given;
    all.insert(all.end(),
               {{"algorithm.name", algorithm}, {"client.local_steps", "4"}, {"client.batch_size", "0"}});
    if (exchange != nullptr) {
      all.back().second = std::to_string(batch_size);
      all.emplace_back("data.clients", std::to_string(sizes.size()));
      all.emplace_back("algorithm.sync_sgd.factors", factors);
    }
    const Options options = make_options(all);
    auto model = make_model(options, examples->shape());
    const std::vector<float> global(model->values().begin(), model->values().end());
    const auto trainer = algorithms().make(options)->make_trainer(options, std::move(model));
    TrainTask task{client, 1, std::move(examples)};
    task.exchange = exchange;
    return trainer->train(global, task);
  }

  // What this peer's update is; all peers call it at the same time.
  Update train_peer(AllReduce& all_reduce, const Topology& topology, std::size_t bucket_floats) const {
    const auto self = static_cast<std::size_t>(all_reduce.self());
    FactorRule rule;
    if (factors != "never") rule = {sizes.size(), static_cast<std::size_t>(batch_size), factors == "shorter"};
    GradientExchange exchange(all_reduce, topology, {bucket_floats, rule}, [](int turns) {
      if (turns > 100) std::this_thread::yield();
    });
    return train("sync_sgd", part(self), static_cast<ClientId>(self), &exchange);
  }
  Update train_alone() const { return train("fedavg", whole(), 0, nullptr); }
};

inline void expect_close(std::span<const float> a, std::span<const float> b) {
  ASSERT_EQ(a.size(), b.size());
  float worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  EXPECT_GT(largest, 1e-3F);
  EXPECT_LE(worst, 1e-6F);
}

}  // namespace gossamer::testing
