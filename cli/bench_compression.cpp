#include "cli/bench_compression.h"

#include <torch/torch.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "compression/bench.h"
#include "core/error.h"

namespace gossamer {
namespace {

// The methods as Python frameworks write them: an operator a line, into memory that is there where the
// operator takes it.
constexpr std::int64_t kTwinBlock = 512;

class TorchTwin : public CompressionTwin {
 protected:
  explicit TorchTwin(torch::Tensor values)
      : values_(std::move(values)), sum_(torch::zeros_like(values_)), scratch_(torch::empty_like(values_)) {}
  torch::Tensor values_, sum_, scratch_;
};

class HalfTwin final : public TorchTwin {
 public:
  HalfTwin(const torch::Tensor& values, torch::ScalarType type)
      : TorchTwin(values), half_(torch::empty_like(values, values.options().dtype(type))) {}
  void encode() override { half_.copy_(values_); }
  void decode_add() override {
    scratch_.copy_(half_);
    sum_.add_(scratch_, 0.5);
  }

 private:
  torch::Tensor half_;
};

// int8 and QSGD: steps of each block's largest magnitude, rounded to the nearest or at random.
class LevelsTwin final : public TorchTwin {
 public:
  LevelsTwin(const torch::Tensor& values, double levels, bool stochastic = true)
      : TorchTwin(values.view({-1, kTwinBlock})),
        levels_(levels),
        stochastic_(stochastic),
        codes_(torch::empty_like(values_, values.options().dtype(torch::kInt8))),
        random_(torch::empty_like(values_)) {}
  void encode() override {
    torch::abs_out(scratch_, values_);
    unit_ = scratch_.amax(1, true).div_(levels_);
    torch::div_out(scratch_, values_, unit_);
    if (stochastic_) {
      random_.uniform_();
      scratch_.add_(random_).floor_();
    } else {
      scratch_.round_();
    }
    codes_.copy_(scratch_);
  }
  void decode_add() override {
    scratch_.copy_(codes_);
    scratch_.mul_(unit_);
    sum_.add_(scratch_, 0.5);
  }

 private:
  double levels_;
  bool stochastic_;
  torch::Tensor codes_, random_, unit_;
};

class OneBitTwin final : public TorchTwin {
 public:
  explicit OneBitTwin(const torch::Tensor& values)
      : TorchTwin(values), residual_(torch::zeros_like(values)) {}
  void encode() override {
    residual_.add_(values_);
    above_ = residual_.ge(0);
    const auto count = above_.sum();
    scratch_.copy_(above_);
    scratch_.mul_(residual_);
    const auto total = scratch_.sum();
    high_ = total / count;
    low_ = (residual_.sum() - total) / (residual_.numel() - count);
    residual_.sub_(torch::where(above_, high_, low_));
  }
  void decode_add() override { sum_.add_(torch::where(above_, high_, low_), 0.5); }

 private:
  torch::Tensor residual_, above_, high_, low_;
};

class TernaryTwin final : public TorchTwin {
 public:
  explicit TernaryTwin(const torch::Tensor& values)
      : TorchTwin(values),
        codes_(torch::empty_like(values, values.options().dtype(torch::kInt8))),
        random_(torch::empty_like(values)) {}
  void encode() override {
    const double most = 2.5 * values_.std(false).item<double>();
    torch::clamp_out(scratch_, values_, -most, most);
    scale_ = scratch_.abs().max();
    scratch_.div_(scale_);
    random_.uniform_();
    codes_.copy_(scratch_.sign().mul_(random_.lt(scratch_.abs())));
  }
  void decode_add() override {
    scratch_.copy_(codes_);
    sum_.add_(scratch_.mul_(scale_), 0.5);
  }

 private:
  torch::Tensor codes_, random_, scale_;
};

class TopKTwin final : public TorchTwin {
 public:
  TopKTwin(const torch::Tensor& values, double density)
      : TorchTwin(values),
        residual_(torch::zeros_like(values)),
        kept_(static_cast<std::int64_t>(density * static_cast<double>(values.numel()))) {}
  void encode() override {
    residual_.add_(values_);
    torch::abs_out(scratch_, residual_);
    indices_ = std::get<1>(scratch_.topk(kept_, 0, true, false));
    sent_ = residual_.index_select(0, indices_);
    residual_.index_fill_(0, indices_, 0.0);
  }
  void decode_add() override { sum_.index_add_(0, indices_, sent_, 0.5); }

 private:
  torch::Tensor residual_, indices_, sent_;
  std::int64_t kept_;
};

class DgcTwin final : public TorchTwin {
 public:
  DgcTwin(const torch::Tensor& values, double density)
      : TorchTwin(values),
        velocity_(torch::zeros_like(values)),
        residual_(torch::zeros_like(values)),
        kept_(static_cast<std::int64_t>(density * static_cast<double>(values.numel()))) {}
  void encode() override {
    velocity_.mul_(0.9).add_(values_);
    residual_.add_(velocity_);
    torch::abs_out(scratch_, residual_);
    indices_ = std::get<1>(scratch_.topk(kept_, 0, true, false));
    sent_ = residual_.index_select(0, indices_);
    residual_.index_fill_(0, indices_, 0.0);
    velocity_.index_fill_(0, indices_, 0.0);
  }
  void decode_add() override { sum_.index_add_(0, indices_, sent_, 0.5); }

 private:
  torch::Tensor velocity_, residual_, indices_, sent_;
  std::int64_t kept_;
};

std::unique_ptr<CompressionTwin> twin_of(const std::string& row, std::span<const float> values) {
  const auto tensor =
      torch::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())});
  if (row == "fp16") return std::make_unique<HalfTwin>(tensor, torch::kHalf);
  if (row == "bf16") return std::make_unique<HalfTwin>(tensor, torch::kBFloat16);
  if (row == "int8") return std::make_unique<LevelsTwin>(tensor, 127, false);
  if (row == "int8_stochastic") return std::make_unique<LevelsTwin>(tensor, 127);
  if (row == "qsgd_4bit") return std::make_unique<LevelsTwin>(tensor, 7);
  if (row == "qsgd_2bit") return std::make_unique<LevelsTwin>(tensor, 1);
  if (row == "one_bit_ef") return std::make_unique<OneBitTwin>(tensor);
  if (row == "terngrad") return std::make_unique<TernaryTwin>(tensor);
  if (row == "top_k_0.001_ef") return std::make_unique<TopKTwin>(tensor, 0.001);
  if (row == "dgc_0.001") return std::make_unique<DgcTwin>(tensor, 0.001);
  return nullptr;
}

}  // namespace

int bench_compression(const CommandLine& line) {
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  const auto device = line.extra.find("device");
  const bool on_cuda = device != line.extra.end() && device->second == "cuda";
  if (device != line.extra.end() && device->second != "cpu" && !on_cuda)
    throw ConfigError("--device " + device->second + ": expected cpu or cuda");
  const torch::NoGradGuard no_gradients;
  torch::set_num_threads(1);
  const auto rows = on_cuda ? bench_methods_on_cuda(std::cout) : bench_methods(std::cout, twin_of);
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer
