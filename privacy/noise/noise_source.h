#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace gossamer {

// Random bytes for privacy noise. One instance serves one thread.
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  virtual void fill(std::span<std::byte> bytes) = 0;
};

// Nobody can foretell its bytes, nor compute afterwards those that were given out: ChaCha20 (libsodium) under
// a key from the operating system, which every call of fill() replaces by fresh output ("fast key erasure",
// Bernstein 2017). Not to be used on both sides of a fork(). Throws RunError where the system has no
// randomness.
std::unique_ptr<NoiseSource> make_secure_noise_source();

// The same bytes for the same numbers: for tests and reruns. Whoever knows the seed can take the noise off
// again, so there is no privacy.
std::unique_ptr<NoiseSource> make_insecure_noise_source(std::uint64_t seed, std::uint64_t client = 0,
                                                        std::uint64_t round = 0);

}  // namespace gossamer
