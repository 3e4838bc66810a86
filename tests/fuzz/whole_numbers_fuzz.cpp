// What a peer can send as sums of whole numbers: two bytes say how large they are, the next two how many, the
// rest is packed. What is taken is what packing writes.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "compression/whole_numbers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gossamer::WholeNumbers;
  if (size < 4) return 0;
  const WholeNumbers code(1 + (data[0] + 256 * data[1]) % WholeNumbers::kMost);
  std::vector<std::int16_t> numbers((data[2] + 256UL * data[3]) % 12'000);
  const auto packed = std::as_bytes(std::span(data + 4, size - 4));
  if (!code.add(packed, numbers)) return 0;
  std::vector<std::byte> again(code.bytes(numbers.size()));
  code.pack(numbers, again.data());
  for (std::size_t i = 0; i < again.size(); ++i) {
    if (again.size() != packed.size() || again[i] != packed[i]) std::abort();
  }
  return 0;
}
