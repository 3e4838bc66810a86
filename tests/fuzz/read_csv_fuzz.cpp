#include <cstddef>
#include <cstdint>
#include <span>

#include "client/datasets/csv.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const gossamer::CsvTable table = gossamer::parse_csv("input", bytes);
    if (table.values.size() != table.labels.size() * static_cast<std::size_t>(table.columns))
      __builtin_trap();
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  return 0;
}
