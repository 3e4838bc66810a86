#include "comms/topologies/graph.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/options.h"
#include "core/rng.h"

namespace gossamer {
namespace {

constexpr int kSwapsAnEdge = 20;
constexpr int kAttempts = 100;

// Edges in both directions, each once.
class Edges {
 public:
  explicit Edges(int peers) : neighbours_(static_cast<std::size_t>(peers)) {}

  bool has(Rank a, Rank b) const { return neighbours_[index(a)].contains(b); }
  void add(Rank a, Rank b) {
    if (a == b) return;
    neighbours_[index(a)].insert(b);
    neighbours_[index(b)].insert(a);
  }
  void remove(Rank a, Rank b) {
    neighbours_[index(a)].erase(b);
    neighbours_[index(b)].erase(a);
  }
  Graph graph() const {
    Graph graph;
    for (const auto& of_one : neighbours_) graph.neighbours.emplace_back(of_one.begin(), of_one.end());
    return graph;
  }

 private:
  static std::size_t index(Rank rank) { return static_cast<std::size_t>(rank); }
  std::vector<std::set<Rank>> neighbours_;
};

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw ConfigError("topology.graph = " + name + ": " + why);
}

Graph torus(int peers) {
  int rows = 1;
  for (int r = 2; r * r <= peers; ++r) {
    if (peers % r == 0) rows = r;
  }
  if (rows == 1) {
    refuse("torus", std::to_string(peers) + " peers do not fill a grid of two rows or more; use " +
                        "topology.graph = ring, or another number of data.clients");
  }
  const int columns = peers / rows;
  Edges edges(peers);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      edges.add(r * columns + c, r * columns + (c + 1) % columns);
      edges.add(r * columns + c, (r + 1) % rows * columns + c);
    }
  }
  return edges.graph();
}

// A regular graph from a fixed one by exchanging the ends of pairs of edges, which keeps all degrees.
Graph random_regular(int peers, std::int64_t degree, std::uint64_t seed) {
  if (degree >= peers || peers * degree % 2 != 0) {
    throw ConfigError("topology.degree = " + std::to_string(degree) + ": with " + std::to_string(peers) +
                      " peers expected less than that, and an even product of the two");
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Edges edges(peers);
    std::vector<std::pair<Rank, Rank>> ends;
    const auto add = [&](Rank a, Rank b) {
      if (edges.has(a, b)) return;
      edges.add(a, b);
      ends.emplace_back(a, b);
    };
    for (Rank i = 0; i < peers; ++i) {
      for (int offset = 1; offset <= degree / 2; ++offset) add(i, (i + offset) % peers);
      if (degree % 2 != 0) add(i, (i + peers / 2) % peers);
    }
    Rng rng(seed, Purpose::graph, 0, static_cast<std::uint64_t>(attempt));
    for (std::size_t swap = 0; swap < ends.size() * kSwapsAnEdge; ++swap) {
      auto& [a, b] = ends[rng.below(ends.size())];
      auto& [c, d] = ends[rng.below(ends.size())];
      if (a == c || a == d || b == c || b == d || edges.has(a, d) || edges.has(c, b)) continue;
      edges.remove(a, b);
      edges.remove(c, d);
      std::swap(b, d);
      edges.add(a, b);
      edges.add(c, d);
    }
    Graph graph = edges.graph();
    if (unreachable(graph).empty()) return graph;
  }
  refuse("random_regular", "no connected graph of degree " + std::to_string(degree) + " among " +
                               std::to_string(peers) + " peers was found; give a larger topology.degree");
}

Graph read_edges(const std::string& path, int peers) {
  std::ifstream file(path);
  if (!file) {
    const std::vector<std::string> known{"ring", "torus", "exponential", "random_regular", "complete"};
    refuse(path, "expected ring, torus, exponential, random_regular, complete (nearest: " +
                     nearest_word(path, known) + ") or a file of edges, and there is no such file");
  }
  Edges edges(peers);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::ranges::replace(line, ',', ' ');
    if (const auto comment = line.find('#'); comment != std::string::npos) line.erase(comment);
    std::istringstream words(line);
    std::int64_t a = 0, b = 0;
    std::string rest;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!(words >> a >> b) || (words >> rest) || a == b || a < 0 || b < 0 || a >= peers || b >= peers) {
      throw FileError(path + ", line " + std::to_string(number) + ": expected two different peers of 0 .. " +
                      std::to_string(peers - 1));
    }
    edges.add(static_cast<Rank>(a), static_cast<Rank>(b));
  }
  return edges.graph();
}

Graph unchecked(const std::string& name, int peers, std::int64_t degree, std::uint64_t seed) {
  if (name == "torus") return torus(peers);
  if (name == "random_regular") return random_regular(peers, degree, seed);
  if (name != "ring" && name != "exponential" && name != "complete") return read_edges(name, peers);
  Edges edges(peers);
  for (Rank i = 0; i < peers; ++i) {
    if (name == "ring") edges.add(i, (i + 1) % peers);
    if (name == "exponential") {
      for (int step = 1; step < peers; step *= 2) edges.add(i, (i + step) % peers);
    }
    for (Rank j = 0; name == "complete" && j < i; ++j) edges.add(i, j);
  }
  return edges.graph();
}

}  // namespace

std::size_t Graph::largest_degree() const noexcept {
  std::size_t largest = 0;
  for (const auto& of_one : neighbours) largest = std::max(largest, of_one.size());
  return largest;
}

std::vector<Rank> unreachable(const Graph& graph) {
  std::vector<bool> reached(graph.neighbours.size());
  std::vector<Rank> open{0};
  reached[0] = true;
  while (!open.empty()) {
    const Rank at = open.back();
    open.pop_back();
    for (const Rank next : graph.neighbours[static_cast<std::size_t>(at)]) {
      if (reached[static_cast<std::size_t>(next)]) continue;
      reached[static_cast<std::size_t>(next)] = true;
      open.push_back(next);
    }
  }
  std::vector<Rank> missing;
  for (Rank i = 0; i < graph.size(); ++i) {
    if (!reached[static_cast<std::size_t>(i)]) missing.push_back(i);
  }
  return missing;
}

Graph make_graph(const std::string& name, int peers, std::int64_t degree, std::uint64_t seed) {
  Graph graph = unchecked(name, peers, degree, seed);
  const std::vector<Rank> missing = unreachable(graph);
  if (!missing.empty()) {
    refuse(name, "not connected: peer " + std::to_string(missing.front()) + " and " +
                     std::to_string(missing.size() - 1) +
                     " more cannot be reached from peer 0, so the models would never agree; add edges");
  }
  return graph;
}

std::vector<MixingWeight> mixing_row(const Graph& graph, GraphWeights weights, Rank self) {
  const auto& own = graph.neighbours[static_cast<std::size_t>(self)];
  const std::size_t largest = graph.largest_degree();
  std::vector<MixingWeight> row;
  double rest = 1;
  for (const Rank peer : own) {
    const std::size_t theirs = graph.neighbours[static_cast<std::size_t>(peer)].size();
    const std::size_t degree = weights == GraphWeights::uniform ? largest : std::max(own.size(), theirs);
    const double weight = 1.0 / static_cast<double>(1 + degree);
    row.push_back({peer, weight});
    rest -= weight;
  }
  const auto place =
      std::ranges::find_if(row, [self](const MixingWeight& entry) { return entry.peer > self; });
  row.insert(place, {self, rest});
  return row;
}

}  // namespace gossamer
