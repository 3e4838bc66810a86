#include "compression/cuda/plan.h"

#include <stdexcept>

#include "compression/methods.h"

namespace gossamer::cuda {

std::optional<Plan> plan_of(const std::string& method, const Options& options) {
  Plan plan;
  if (method == "fp16") {
    plan.kind = Plan::Kind::fp16;
  } else if (method == "bf16") {
    plan.kind = Plan::Kind::bf16;
  } else if (method == "int8") {
    plan.kind = Plan::Kind::int8;
    plan.stochastic = options.text("compression.int8.rounding") == "stochastic";
  } else if (method == "one_bit") {
    plan.kind = Plan::Kind::one_bit;
    plan.block = static_cast<std::size_t>(options.integer("compression.one_bit.block"));
  } else if (method == "terngrad") {
    plan.kind = Plan::Kind::terngrad;
    plan.clip = options.real("compression.terngrad.clip");
  } else if (method == "qsgd") {
    plan.kind = Plan::Kind::qsgd;
    plan.bits = std::stoi(options.text("compression.qsgd.bits"));
    plan.euclidean = options.text("compression.qsgd.norm") == "l2";
  } else {
    return std::nullopt;
  }
  return plan;
}

std::unique_ptr<Method> host_method_of(const Plan& plan, const Options& options) {
  switch (plan.kind) {
    case Plan::Kind::fp16:
      return make_fp16(options);
    case Plan::Kind::bf16:
      return make_bf16(options);
    case Plan::Kind::int8:
      return make_int8(options);
    case Plan::Kind::one_bit:
      return make_one_bit(options);
    case Plan::Kind::terngrad:
      return make_terngrad(options);
    case Plan::Kind::qsgd:
      return make_qsgd(options);
  }
  throw std::logic_error("a plan of no kind");
}

}  // namespace gossamer::cuda
