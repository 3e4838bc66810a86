#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/types.h"

namespace gossamer {

// An undirected graph without loops: neighbours[i] ascending, i in neighbours[j] where j is in neighbours[i].
struct Graph {
  std::vector<std::vector<Rank>> neighbours;

  int size() const noexcept { return static_cast<int>(neighbours.size()); }
  std::size_t largest_degree() const noexcept;
};

// `topology.graph`: ring, torus (as square as it gets), exponential (i and i +- 2^k), random_regular (of
// `degree`, drawn from `seed`), complete, or a file with an edge "a b" a line. Throws ConfigError where the
// peers cannot form it or where it is not connected, FileError on a file that is no list of edges.
Graph make_graph(const std::string& name, int peers, std::int64_t degree, std::uint64_t seed);

// The peers that peer 0 cannot reach.
std::vector<Rank> unreachable(const Graph& graph);

enum class GraphWeights {
  metropolis,  // W_ij = 1 / (1 + max(degree_i, degree_j))
  uniform,     // W_ij = 1 / (1 + the largest degree)
};

// A peer's part in a mixture of models.
struct MixingWeight {
  Rank peer = 0;
  double weight = 0;
};

// Row `self` of the mixing matrix W: itself and its neighbours, ascending. W is symmetric and doubly
// stochastic.
std::vector<MixingWeight> mixing_row(const Graph& graph, GraphWeights weights, Rank self);

}  // namespace gossamer
