// compression.up = auto: one of a few methods for each message, which the receiver of the last one has asked
// for (server/method_choice.h). All send what was left over before, and leave what they left out, in one and
// the same residual, so that one may follow another. A message is that of its method, and behind it the
// share of the squared length that it delivers (a float) and the method's number (a byte).
#include "compression/choice.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "compression/methods.h"

namespace gossamer {
namespace {

struct Choice {
  const char* name;
  const char* method;
  const char* key = nullptr;  // of the method, and what it is set to
  const char* value = nullptr;
};
// Without a state of their own, and in the order of their lengths.
constexpr Choice kChoices[] = {
    {"none", "none"},
    {"fp16", "fp16"},
    {"int8", "int8"},
    {"qsgd", "qsgd"},
    {"one_bit", "one_bit"},
    {"top_k_0.01", "top_k", "compression.top_k.density", "0.01"},
    {"top_k_0.001", "top_k", "compression.top_k.density", "0.001"},
};

constexpr std::size_t kTail = sizeof(float) + 1;

std::unique_ptr<Compressor> without_memory(const Choice& choice, Options options,
                                           const ParameterLayout& layout) {
  using Shape = std::span<const std::int64_t>;
  const auto dense = [](Shape) { return make_dense(); };
  options.set("compression.up", choice.method);
  if (choice.key != nullptr) options.set(choice.key, choice.value);
  if (options.text("compression.up") == "none") return make_pieces(options, layout, dense, dense);
  return make_pieces(
      options, layout, [&](Shape shape) { return make_up_method(options, shape); }, dense);
}

double squared_length(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

class AnyOf final : public Compressor {
 public:
  AnyOf(const Options& options, const ParameterLayout& layout) : floats_(layout.size()) {
    for (const Choice& choice : kChoices) {
      methods_.push_back(without_memory(choice, options, layout));
      if (methods_.back()->state_floats() > 0)
        throw std::logic_error(std::string(choice.name) + ": keeps what the others do not know");
    }
  }

  CompressorTraits traits() const noexcept override { return {.telescopes = true}; }
  std::size_t state_floats() const override { return floats_; }
  std::size_t choices() const noexcept override { return methods_.size(); }

  Compressed compress(SharedFloats values, std::span<float> residual, MessageContext context,
                      Rng& rng) const override {
    if (values.size() != floats_ || residual.size() != floats_)
      throw std::logic_error("compress: a vector or a state of another layout");
    const Compressor& method = *methods_.at(context.method);
    for (std::size_t i = 0; i < floats_; ++i) residual[i] += values.values[i];
    const double before = squared_length(residual);
    const Compressed content = method.compress({nullptr, residual}, {}, context, rng);
    if (!method.decompress_add(content, -1, residual))
      throw std::logic_error("compress: a message that its own method refuses");
    const double left = before > 0 ? squared_length(residual) / before : 0;
    return with_tail(content, {context.method, std::clamp(1 - left, 0.0, 1.0)});
  }

  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    const auto report = method_report(content);
    if (!report) return refused();
    return methods_[report->method]->decompress_add(without_tail(content), weight, sum);
  }
  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    const auto report = method_report(content);
    if (!report) return refused();
    return methods_[report->method]->decompress(without_tail(content), values);
  }

 private:
  static Result<std::monostate> refused() { return malformed("an update that does not say by which method"); }

  static Compressed with_tail(const Compressed& content, const MethodReport& report) {
    const auto bytes = content.payload.bytes;
    ByteBuffer whole(bytes.size() + kTail);
    std::ranges::copy(bytes, whole.begin());
    const auto delivered = static_cast<float>(report.delivered);
    std::memcpy(whole.data() + bytes.size(), &delivered, sizeof delivered);
    whole.back() = static_cast<std::byte>(report.method);
    return {content.elements, SharedBytes::of(std::move(whole))};
  }
  static Compressed without_tail(Compressed content) {
    content.payload.bytes = content.payload.bytes.first(content.payload.size() - kTail);
    return content;
  }

  const std::size_t floats_;
  std::vector<std::unique_ptr<Compressor>> methods_;
};

}  // namespace

const std::vector<std::string>& chosen_methods() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Choice& choice : kChoices) all.emplace_back(choice.name);
    return all;
  }();
  return names;
}

std::optional<MethodReport> method_report(const Compressed& update) {
  const auto bytes = update.payload.bytes;
  if (bytes.size() < kTail) return std::nullopt;
  float delivered;
  std::memcpy(&delivered, bytes.data() + bytes.size() - kTail, sizeof delivered);
  const auto method = std::to_integer<std::size_t>(bytes.back());
  if (!(delivered >= 0 && delivered <= 1) || method >= std::size(kChoices)) return std::nullopt;
  return MethodReport{method, static_cast<double>(delivered)};
}

std::unique_ptr<Compressor> make_choice(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<AnyOf>(options, layout);
}

}  // namespace gossamer
