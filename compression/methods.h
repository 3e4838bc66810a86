#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "compression/compressor.h"
#include "compression/method.h"

namespace gossamer {

// Values that share a statistic in int8 and QSGD, and a chunk of random bits.
inline constexpr std::size_t kBlockFloats = 512;

// One line a method; what each does is at the top of its file.
std::unique_ptr<Method> make_dense();
std::unique_ptr<Method> make_fp16(const Options&);
std::unique_ptr<Method> make_bf16(const Options&);
std::unique_ptr<Method> make_int8(const Options&);
std::unique_ptr<Method> make_one_bit(const Options&);
std::unique_ptr<Method> make_terngrad(const Options&);
std::unique_ptr<Method> make_qsgd(const Options&);
std::unique_ptr<Method> make_top_k(const Options&);
std::unique_ptr<Method> make_adacomp(const Options&);
std::unique_ptr<Method> make_dgc(const Options&);
std::unique_ptr<Method> make_esgd(const Options&);
std::unique_ptr<Method> make_random_k(const Options&);
std::unique_ptr<Method> make_random_mask(const Options&);
std::unique_ptr<Method> make_threshold(const Options&);
std::unique_ptr<Method> make_wangni(const Options&);
std::unique_ptr<Method> make_bounded_error(const Options&);
std::unique_ptr<Method> make_sketched(const Options&);
std::unique_ptr<Method> make_powersgd(const Options&, std::span<const std::int64_t> shape);
std::unique_ptr<Method> make_low_rank(const Options&, std::span<const std::int64_t> shape);

// What the configuration puts around a method for updates: a residual, and momentum correction.
struct Memories {
  bool residual = false;
  std::optional<MomentumSettings> momentum;
};
// Of the method of that name, which has to be one of the above. Throws ConfigError where it refuses them.
Memories memories_of(const std::string& method, const Options& options);
std::unique_ptr<Method> with_memories(std::unique_ptr<Method> method, const Memories& memories);

// compression.up = auto: what one of a few methods makes of each message (choice.h).
std::unique_ptr<Compressor> make_choice(const Options&, const ParameterLayout& layout);

// That of compression.up, which is neither `none` nor `auto`, without error feedback.
std::unique_ptr<Method> make_up_method(const Options&, std::span<const std::int64_t> shape);

}  // namespace gossamer
