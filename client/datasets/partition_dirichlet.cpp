// Each class is spread over the clients by a draw from Dir(alpha): Yurochkin, Agarwal, Ghosh, Greenewald,
// Hoang, Khazaeni: "Bayesian nonparametric federated learning of neural networks", ICML 2019. Drawn data has
// no whole to spread, so there each client draws its class proportions from Dir(alpha): Hsu, Qi, Brown:
// "Measuring the effects of non-identical data distribution for federated visual classification", 2019.
#include <algorithm>

#include "client/datasets/methods.h"

namespace gossamer {
namespace {

class DirichletPartition final : public Partition {
 public:
  explicit DirichletPartition(double alpha) : alpha_(alpha) {}

  Division divide(const PartitionTask& task) const override {
    check_enough(task);
    check_labels(task, "dirichlet");
    Rng rng(task.seed, Purpose::partition);
    std::vector<std::vector<std::uint32_t>> by_class(static_cast<std::size_t>(task.classes));
    for (std::uint32_t example : shuffled_examples(task, rng)) {
      by_class[static_cast<std::size_t>(task.labels[example])].push_back(example);
    }
    std::vector<std::vector<std::uint32_t>> lists(static_cast<std::size_t>(task.clients));
    for (const auto& examples : by_class) {
      if (examples.empty()) continue;
      const auto weights = draw_dirichlet(rng, alpha_, lists.size());
      const auto sizes = proportional_sizes(static_cast<std::int64_t>(examples.size()), weights);
      auto next = examples.begin();
      for (std::size_t k = 0; k < lists.size(); ++k) {
        lists[k].insert(lists[k].end(), next, next + sizes[k]);
        next += sizes[k];
      }
    }
    fill_empty(lists);
    return Division(lists);
  }

  std::vector<std::uint8_t> draw_labels(std::uint64_t seed, ClientId client, std::int64_t size,
                                        int classes) const override {
    Rng rng(seed, Purpose::digits_label, static_cast<std::uint64_t>(client));
    const auto weights = draw_dirichlet(rng, alpha_, static_cast<std::size_t>(classes));
    std::vector<std::uint8_t> labels(static_cast<std::size_t>(size));
    for (auto& label : labels) {
      double left = rng.uniform();
      std::size_t chosen = 0;
      while (chosen + 1 < weights.size() && left >= weights[chosen]) left -= weights[chosen++];
      label = static_cast<std::uint8_t>(chosen);
    }
    return labels;
  }

 private:
  // A client that got nothing takes one example from a client with many, so that everyone can train.
  static void fill_empty(std::vector<std::vector<std::uint32_t>>& lists) {
    std::vector<std::size_t> givers;
    for (std::size_t k = 0; k < lists.size(); ++k) {
      if (lists[k].size() > 1) givers.push_back(k);
    }
    const auto fewer = [&](std::size_t a, std::size_t b) {
      return lists[a].size() != lists[b].size() ? lists[a].size() < lists[b].size() : a > b;
    };
    std::ranges::make_heap(givers, fewer);
    for (auto& list : lists) {
      if (!list.empty()) continue;
      std::ranges::pop_heap(givers, fewer);
      auto& giver = lists[givers.back()];
      list.push_back(giver.back());
      giver.pop_back();
      std::ranges::push_heap(givers, fewer);
    }
  }

  double alpha_;
};

}  // namespace

std::unique_ptr<Partition> make_dirichlet_partition(const Options& options) {
  return std::make_unique<DirichletPartition>(options.real("data.alpha"));
}

}  // namespace gossamer
