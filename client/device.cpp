#include "client/device.h"

#include <torch/torch.h>

#include <utility>

#include "core/error.h"
#ifdef GOSSAMER_HAVE_CUDA
#include "compression/cuda/encoder.h"
#endif

namespace gossamer {
namespace {

bool on_cuda(const Options& options) { return options.text("run.device") == "cuda"; }

class TensorFloats final : public DeviceFloats {
 public:
  explicit TensorFloats(at::Tensor values) : values_(std::move(values)) {
    if (values_.is_cuda()) torch::cuda::synchronize();
  }
  std::size_t size() const noexcept override { return static_cast<std::size_t>(values_.numel()); }
  const float* address() const noexcept override { return address_; }
  void read(std::size_t begin, std::span<float> out) const override {
    const at::NoGradGuard no_grad;
    const auto count = static_cast<std::int64_t>(out.size());
    at::from_blob(out.data(), {count}, at::kFloat)
        .copy_(values_.narrow(0, static_cast<std::int64_t>(begin), count));
  }

 private:
  at::Tensor values_;
  const float* address_ = values_.data_ptr<float>();
};

}  // namespace

void add_device_option(OptionSchema& schema) {
  schema.add(text_option("run.device", "cpu",
                         "where clients train and, where there are kernels for compression.up, compress; "
                         "cuda: with plain averaging (fedavg, fedsgd, local_sgd, fedasync, fedbuff) and "
                         "client.optimizer = sgd, and a libtorch that has CUDA")
                 .one_of({"cpu", "cuda"}));
}

at::Device device_of(const Options& options) {
  if (!on_cuda(options)) return at::kCPU;
  if (!torch::cuda::is_available())
    throw RunError("run.device = cuda: this libtorch has no CUDA, or finds no GPU; use run.device = cpu");
  return at::kCUDA;
}

std::unique_ptr<DeviceEncoder> make_device_encoder(const Options& options, std::size_t floats) {
  if (device_of(options).is_cpu()) return nullptr;
#ifdef GOSSAMER_HAVE_CUDA
  return cuda::make_encoder(options, floats);
#else
  static_cast<void>(floats);
  return nullptr;
#endif
}

std::shared_ptr<const DeviceFloats> as_device_floats(at::Tensor values) {
  return std::make_shared<TensorFloats>(std::move(values));
}

}  // namespace gossamer
