#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "compression/cuda/jobs.h"
#include "compression/method.h"

namespace gossamer::cuda {

// A method that there are kernels for, with its settings.
struct Plan {
  enum class Kind { fp16, bf16, int8, one_bit, terngrad, qsgd };
  Kind kind = Kind::fp16;
  bool stochastic = false;  // int8
  std::size_t block = 0;    // one_bit
  double clip = 0;          // terngrad
  int bits = 0;             // qsgd
  bool euclidean = false;
};

// The method of that name as the options set it; none where there are no kernels for it.
std::optional<Plan> plan_of(const std::string& method, const Options& options);
// The same method for the processor, whose payloads and residuals are the same.
std::unique_ptr<Method> host_method_of(const Plan& plan, const Options& options);

// See jobs.h.
struct EncodeOperands {
  const float* values = nullptr;
  float* residual = nullptr;
  std::size_t n = 0;
  std::uint64_t key = 0;
  std::uint8_t* payload = nullptr;
  std::uint32_t* refused = nullptr;  // a zero
  TernaryTotal* totals = nullptr;    // totals_of() of them
};

struct AddOperands {
  const std::uint8_t* payload = nullptr;
  float weight = 1;
  float* sum = nullptr;
  std::size_t n = 0;
};

inline std::size_t totals_of(const Plan& plan, std::size_t n) {
  return plan.kind == Plan::Kind::terngrad ? TernaryTotals::parts(n) : 0;
}

// Gives launch() the method's jobs, each of which begins when those before it have ended.
template <class Launch>
void encode(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const auto qsgd = [&]<int bits>(std::integral_constant<int, bits>) {
    if (plan.euclidean) {
      launch(EncodeQsgd<bits, true>{x.values, x.residual, x.key, x.payload, x.n, x.refused});
    } else {
      launch(EncodeQsgd<bits, false>{x.values, x.residual, x.key, x.payload, x.n, x.refused});
    }
  };
  switch (plan.kind) {
    case Plan::Kind::fp16:
      return launch(EncodeHalves<Fp16>{x.values, x.residual, x.payload, x.n, x.refused});
    case Plan::Kind::bf16:
      return launch(EncodeHalves<Bf16>{x.values, x.residual, x.payload, x.n, x.refused});
    case Plan::Kind::int8:
      if (plan.stochastic)
        return launch(EncodeInt8<true>{x.values, x.residual, x.key, x.payload, x.n, x.refused});
      return launch(EncodeInt8<false>{x.values, x.residual, x.key, x.payload, x.n, x.refused});
    case Plan::Kind::one_bit:
      return launch(EncodeOneBit{x.values, x.residual, plan.block, x.payload, x.n, x.refused});
    case Plan::Kind::terngrad:
      launch(TernaryTotals{x.values, x.residual, x.n, x.totals});
      launch(TernaryScale{x.totals, TernaryTotals::parts(x.n), x.n, plan.clip, x.payload, x.refused});
      return launch(EncodeTernary{x.values, x.residual, x.key, x.payload, x.n, x.refused});
    case Plan::Kind::qsgd:
      if (plan.bits == 2) return qsgd(std::integral_constant<int, 2>());
      if (plan.bits == 4) return qsgd(std::integral_constant<int, 4>());
      return qsgd(std::integral_constant<int, 8>());
  }
}

template <class Launch>
void add(const Plan& plan, const AddOperands& x, const Launch& launch) {
  switch (plan.kind) {
    case Plan::Kind::fp16:
      return launch(AddHalves<Fp16>{x.payload, x.weight, x.sum, x.n});
    case Plan::Kind::bf16:
      return launch(AddHalves<Bf16>{x.payload, x.weight, x.sum, x.n});
    case Plan::Kind::int8:
      return launch(AddInt8{x.payload, x.weight, x.sum, x.n});
    case Plan::Kind::one_bit:
      return launch(AddOneBit{x.payload, plan.block, x.weight, x.sum, x.n});
    case Plan::Kind::terngrad:
      return launch(AddTernary{x.payload, x.weight, x.sum, x.n});
    case Plan::Kind::qsgd:
      if (plan.bits == 2) return launch(AddQsgd<2>{x.payload, x.weight, x.sum, x.n});
      if (plan.bits == 4) return launch(AddQsgd<4>{x.payload, x.weight, x.sum, x.n});
      return launch(AddQsgd<8>{x.payload, x.weight, x.sum, x.n});
  }
}

}  // namespace gossamer::cuda
