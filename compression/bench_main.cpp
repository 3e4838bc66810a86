// The benchmark of the methods alone, for a machine with nothing else: gossamer-bench-compression [--json
// FILE]
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "compression/bench.h"

int main(int argc, char** argv) {
  try {
    std::ofstream json;
    if (argc == 3 && std::string_view(argv[1]) == "--json") {
      json.open(argv[2]);
      if (!json) {
        std::cerr << "gossamer-bench-compression: --json " << argv[2] << ": cannot be written\n";
        return 2;
      }
    } else if (argc != 1) {
      std::cerr << "usage: gossamer-bench-compression [--json FILE]\n";
      return 2;
    }
    const auto rows = gossamer::bench_methods(std::cout);
    if (json.is_open()) json << rows.dump(2) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "gossamer-bench-compression: " << error.what() << '\n';
    return 3;
  }
}
