#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "compression/compressor.h"

namespace gossamer {

// Whether models travel as differences to what their receivers hold, rather than each as a whole
// (compression.down_form, and what `auto` means with this compression.down).
bool sends_differences(const Options& options);

// Throws ConfigError where compression.down does not have the form that is asked for.
void check_down_form(const Options& options);

// Names a vector of floats by what it holds (XXH3-64 of its bytes); never 0.
std::uint64_t mark_of(std::span<const float> values) noexcept;
// The same of floats whose bytes have this XXH3-64.
inline std::uint64_t mark_of_checksum(std::uint64_t checksum) noexcept {
  return checksum == 0 ? 1 : checksum;
}

// How models of one layout travel, as compression.down says. Immutable; serves all threads.
class ModelCodec {
 public:
  ModelCodec(const Options& options, const ParameterLayout& layout);

  // Of models as a whole. Where differences are sent these are floats as they are, so that all who receive
  // one way or the other hold the same bits.
  const Compressor& whole() const noexcept { return *whole_; }
  // Of differences; null where none are sent.
  const Compressor* difference() const noexcept { return difference_.get(); }

  // What a receiver has of the stream.
  struct Held {
    std::span<const float> values{};
    std::uint64_t mark = 0;  // of the values; 0: it has nothing
  };
  // values = the model that this is (`base` 0), or makes of the vector that `base` is the mark of. Where that
  // is not what is held, or the content is malformed: a fault, and then the values are of no use.
  Result<std::monostate> decode(const Compressed& content, std::uint64_t base, Held held,
                                std::span<float> values) const;

 private:
  std::unique_ptr<Compressor> whole_;
  std::unique_ptr<Compressor> difference_;
};

}  // namespace gossamer
