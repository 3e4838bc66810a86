#include "privacy/noise/noise_source.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "core/error.h"

namespace gossamer {
namespace {

using NoiseKey = std::array<unsigned char, crypto_stream_chacha20_KEYBYTES>;

// So many bytes are drawn under one key at most: they, and the next key, stay in the first-level cache.
constexpr std::size_t kStretch = 8192;

class ChaChaSource final : public NoiseSource {
 public:
  explicit ChaChaSource(const NoiseKey& key) : key_(key) {}
  ~ChaChaSource() override { sodium_memzero(key_.data(), key_.size()); }
  ChaChaSource(const ChaChaSource&) = delete;
  ChaChaSource& operator=(const ChaChaSource&) = delete;

  void fill(std::span<std::byte> bytes) override {
    auto* out = reinterpret_cast<unsigned char*>(bytes.data());
    for (std::size_t left = bytes.size(); left > 0;) {
      const std::size_t now = std::min(left, kStretch);
      crypto_stream_chacha20(out, now, kOutput.data(), key_.data());
      out += now;
      left -= now;
      NoiseKey next;
      crypto_stream_chacha20(next.data(), next.size(), kNextKey.data(), key_.data());
      key_ = next;
    }
  }

 private:
  using Nonce = std::array<unsigned char, crypto_stream_chacha20_NONCEBYTES>;
  static constexpr Nonce kOutput{0}, kNextKey{1};

  NoiseKey key_;
};

void start_sodium() {
  // Picks the fastest ChaCha20 of this processor; harmless where it has been called before.
  if (sodium_init() < 0) throw RunError("libsodium: no randomness from the operating system");
}

}  // namespace

std::unique_ptr<NoiseSource> make_secure_noise_source() {
  start_sodium();
  NoiseKey key;
  randombytes_buf(key.data(), key.size());
  auto source = std::make_unique<ChaChaSource>(key);
  sodium_memzero(key.data(), key.size());
  return source;
}

std::unique_ptr<NoiseSource> make_insecure_noise_source(std::uint64_t seed, std::uint64_t client,
                                                        std::uint64_t round) {
  start_sodium();
  const std::array<std::uint64_t, 3> name{seed, client, round};
  NoiseKey key;
  crypto_generichash(key.data(), key.size(), reinterpret_cast<const unsigned char*>(name.data()), sizeof name,
                     nullptr, 0);
  return std::make_unique<ChaChaSource>(key);
}

}  // namespace gossamer
