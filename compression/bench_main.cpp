// The benchmark of the methods alone, for a machine with nothing else: gossamer-bench-compression
// [--device cpu|cuda] [--json FILE]
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "compression/bench.h"

int main(int argc, char** argv) {
  try {
    std::ofstream json;
    bool on_cuda = false;
    for (int i = 1; i < argc; i += 2) {
      const std::string flag = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
      if (flag == "--device" && (value == "cpu" || value == "cuda")) {
        on_cuda = value == "cuda";
      } else if (flag == "--json" && !value.empty()) {
        json.open(value);
        if (!json) {
          std::cerr << "gossamer-bench-compression: --json " << value << ": cannot be written\n";
          return 2;
        }
      } else {
        std::cerr << "usage: gossamer-bench-compression [--device cpu|cuda] [--json FILE]\n";
        return 2;
      }
    }
    const auto rows =
        on_cuda ? gossamer::bench_methods_on_cuda(std::cout) : gossamer::bench_methods(std::cout);
    if (json.is_open()) json << rows.dump(2) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "gossamer-bench-compression: " << error.what() << '\n';
    return 3;
  }
}
