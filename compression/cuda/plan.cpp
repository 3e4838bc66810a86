#include "compression/cuda/plan.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "compression/bounded_error.h"
#include "compression/methods.h"
#include "compression/sparse_floats.h"
#include "compression/sparse_indices.h"

namespace gossamer::cuda {

std::optional<Plan> plan_of(const std::string& method, const Options& options,
                            std::span<const std::int64_t> shape) {
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
  } else if (method == "top_k") {
    plan.kind = Plan::Kind::top_k;
    plan.density = options.real("compression.top_k.density");
  } else if (method == "dgc") {
    plan.kind = Plan::Kind::dgc;
    plan.schedule = DgcSchedule(options.real("compression.dgc.density"),
                                options.integer("compression.dgc.warmup_rounds"));
  } else if (method == "adacomp") {
    plan.kind = Plan::Kind::adacomp;
    plan.density = options.real("compression.adacomp.density");
    plan.divides = options.flag("compression.adacomp.staleness");
  } else if (method == "esgd") {
    plan.kind = Plan::Kind::esgd;
    plan.density = options.real("compression.esgd.density");
    plan.momentum = static_cast<float>(options.real("compression.esgd.momentum"));
  } else if (method == "threshold") {
    plan.kind = Plan::Kind::threshold;
    plan.tau = static_cast<float>(options.real("compression.threshold.tau"));
  } else if (method == "random_k" || method == "random_mask") {
    plan.kind = Plan::Kind::random_k;
    plan.density = options.real("compression." + method + ".density");
    plan.masks = method == "random_mask";
    plan.scaled = !plan.masks && options.text("compression.error_feedback") != "on";
  } else if (method == "bounded_error") {
    plan.kind = Plan::Kind::bounded_error;
    plan.step = bounded_error_step(options.real("compression.bounded_error.bound"));
  } else if (method == "sketched") {
    plan.kind = Plan::Kind::sketched;
    plan.bits = std::stoi(options.text("compression.sketched.bits"));
    plan.density = options.real("compression.sketched.density");
    plan.rotated = options.flag("compression.sketched.rotation");
    plan.scaled = options.text("compression.error_feedback") != "on";
  } else if (method == "wangni") {
    plan.kind = Plan::Kind::wangni;
    plan.density = options.real("compression.wangni.density");
    plan.scaled = options.text("compression.error_feedback") != "on";
  } else if (method == "low_rank") {
    plan.kind = Plan::Kind::low_rank;
    plan.matrix = MatrixShape(shape);
    plan.rank = static_cast<std::size_t>(options.integer("compression.low_rank.rank"));
    plan.projects = options.text("compression.error_feedback") != "off";
  } else if (method == "powersgd") {
    plan.kind = Plan::Kind::powersgd;
    plan.matrix = MatrixShape(shape);
    plan.rank = static_cast<std::size_t>(options.integer("compression.powersgd.rank"));
  } else {
    return std::nullopt;
  }
  plan.memories = memories_of(method, options);
  // Of the methods that choose the largest, those that keep what is left.
  const bool can_have_momentum =
      plan.kind == Plan::Kind::adacomp ||
      ((plan.kind == Plan::Kind::top_k || plan.kind == Plan::Kind::dgc) && plan.memories.residual);
  if (plan.memories.momentum && !can_have_momentum) return std::nullopt;
  return plan;
}

bool depends_on_shape(const Plan& plan) {
  return plan.kind == Plan::Kind::low_rank || plan.kind == Plan::Kind::powersgd;
}

std::unique_ptr<Method> host_method_of(const Plan& plan, const Options& options) {
  const std::int64_t shape[] = {static_cast<std::int64_t>(plan.matrix.rows),
                                static_cast<std::int64_t>(plan.matrix.columns)};
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
    case Plan::Kind::top_k:
      return make_top_k(options);
    case Plan::Kind::dgc:
      return make_dgc(options);
    case Plan::Kind::adacomp:
      return make_adacomp(options);
    case Plan::Kind::esgd:
      return make_esgd(options);
    case Plan::Kind::threshold:
      return make_threshold(options);
    case Plan::Kind::random_k:
      return plan.masks ? make_random_mask(options) : make_random_k(options);
    case Plan::Kind::bounded_error:
      return make_bounded_error(options);
    case Plan::Kind::sketched:
      return make_sketched(options);
    case Plan::Kind::wangni:
      return make_wangni(options);
    case Plan::Kind::low_rank:
      return make_low_rank(options, shape);
    case Plan::Kind::powersgd:
      return make_powersgd(options, shape);
  }
  throw std::logic_error("a plan of no kind");
}

std::size_t sent_of(const Plan& plan, std::size_t n, std::int64_t round) {
  switch (plan.kind) {
    case Plan::Kind::top_k:
    case Plan::Kind::adacomp:
    case Plan::Kind::esgd:
    case Plan::Kind::random_k:
    case Plan::Kind::sketched:
      return kept_values(plan.density, n);
    case Plan::Kind::dgc:
      return kept_values(plan.schedule.density_in(round), n);
    default:
      return n;
  }
}

SparseRoom::SparseRoom(std::uint8_t* begin, const Plan& plan, std::size_t n) {
  const std::size_t most_chosen = sent_of(plan, n, 0);  // the warm-up begins with the most
  const std::size_t segments = parts_of(n, kSegment), listed = segments * kMostListed;
  // Of any number of indices: fewer than of the fewest floats, there can be more.
  const std::size_t teams = parts_of(IndexCode::most_bytes(n), kTeamCodeBytes);
  choosing = take<Choosing>(begin, 1);
  lists = {take<std::uint32_t>(begin, segments), take<std::uint32_t>(begin, listed),
           take<float>(begin, listed)};
  shares = take<Shares>(begin, segments);
  chosen = {take<std::uint32_t>(begin, most_chosen), take<float>(begin, most_chosen)};
  code_bits = take<std::uint64_t>(begin, parts_of(most_chosen, kTeamCodes));
  scale = take<float>(begin, 1);
  square_sums = take<double>(begin, parts_of(n, SquareSums::kPart));
  stay = take<std::uint32_t>(begin, 1);
  ranks = take<float>(begin, plan.kind == Plan::Kind::esgd ? n : 0);
  code_maps = take<CodeMap>(begin, teams);
  code_begins = take<CodeStep>(begin, teams);
}

BoundedRoom::BoundedRoom(std::uint8_t* begin, std::size_t n) {
  const std::size_t blocks = BoundedLayout{n}.blocks();
  const std::size_t parts = parts_of(blocks * kMostBoundedBytes, kBoundedPart);
  begins = take<std::uint64_t>(begin, blocks);
  maps = take<BoundedMap>(begin, parts);
  entries = take<BoundedEntry>(begin, parts);
}

WangniRoom::WangniRoom(std::uint8_t* begin, std::size_t n) {
  const std::size_t segments = parts_of(n, kSegment), blocks = parts_of(n, kSplitFloats);
  const std::size_t teams = parts_of(IndexCode::most_bytes(n), kTeamCodeBytes);
  totals = take<SplitTotal>(begin, blocks);
  search = take<BoundSearch>(begin, 1);
  travel = take<std::uint32_t>(begin, segments * DrawTravellers::kWords);
  counts = take<std::uint64_t>(begin, segments);
  choosing = take<Choosing>(begin, 1);
  chosen = {take<std::uint32_t>(begin, n), take<float>(begin, n)};
  certain = take<std::uint64_t>(begin, parts_of(n, kFlagGroup));
  parts = take<WangniParts>(begin, 1);
  code_bits = take<std::uint64_t>(begin, parts_of(n, kTeamCodes));
  code_maps = take<CodeMap>(begin, teams);
  code_begins = take<CodeStep>(begin, teams);
}

LowRankRoom::LowRankRoom(std::uint8_t* begin, const LowRankShape& shape)
    : sums{shape, nullptr, nullptr, nullptr, nullptr, nullptr} {
  const std::size_t blocks = sums.blocks();
  sums.rows = take<std::uint32_t>(begin, shape.rows);
  sums.ends = take<std::uint32_t>(begin, blocks * shape.rank);
  sums.more = take<float>(begin, (blocks - 1) * shape.rank * shape.columns);
  sums.overflowed = take<std::uint32_t>(begin, sums.panels());
}

PowerSgdRoom::PowerSgdRoom(std::uint8_t* begin, const PowerSgdShape& shape)
    : factors{shape, nullptr, nullptr, nullptr, nullptr} {
  factors.more = take<float>(begin, (factors.blocks() - 1) * shape.rank * shape.columns);
  factors.largest = take<std::uint32_t>(begin, 1);
}

PowerSgdShape powersgd_of(const Plan& plan) { return {plan.matrix.rows, plan.matrix.columns, plan.rank}; }

LowRankShape low_rank_of(const Plan& plan) { return {plan.matrix.rows, plan.matrix.columns, plan.rank}; }

std::size_t workspace_bytes(const Plan& plan, std::size_t n) {
  switch (plan.kind) {
    case Plan::Kind::terngrad:
      // Fewer floats can have a part more, at their end.
      return (parts_of(n, TernaryTotals::kPart) + 1) * sizeof(TernaryTotal);
    case Plan::Kind::top_k:
    case Plan::Kind::dgc:
    case Plan::Kind::adacomp:
    case Plan::Kind::esgd:
    case Plan::Kind::threshold:
      return n == 0 ? 0 : SparseRoom(nullptr, plan, n).bytes();
    case Plan::Kind::bounded_error:
      return BoundedRoom(nullptr, n).bytes();
    case Plan::Kind::wangni:
      return n == 0 ? 0 : WangniRoom(nullptr, n).bytes();
    case Plan::Kind::low_rank:
      // Of other lengths than the matrix's, no factors are made.
      return low_rank_of(plan).factorizes(plan.matrix.floats()) && n >= plan.matrix.floats()
                 ? LowRankRoom(nullptr, low_rank_of(plan)).bytes()
                 : 0;
    case Plan::Kind::powersgd:
      return powersgd_of(plan).factorizes(plan.matrix.floats()) && n >= plan.matrix.floats()
                 ? PowerSgdRoom(nullptr, powersgd_of(plan)).bytes()
                 : 0;
    default:
      return 0;
  }
}

std::size_t most_workspace_bytes(std::size_t n) {
  Plan esgd;  // of a density of 1
  esgd.kind = Plan::Kind::esgd;
  Plan terngrad;
  terngrad.kind = Plan::Kind::terngrad;
  Plan bounded_error;
  bounded_error.kind = Plan::Kind::bounded_error;
  return std::max(
      {workspace_bytes(esgd, n), workspace_bytes(terngrad, n), workspace_bytes(bounded_error, n)});
}

SketchLayout sketch_layout_of(const Plan& plan, std::size_t n) { return {n, sent_of(plan, n, 0), plan.bits}; }

SparseLayout layout_of(const Plan& plan) {
  const bool has_signs = plan.kind == Plan::Kind::threshold;
  return {plan.kind == Plan::Kind::dgc || has_signs, has_signs ? SparseLayout::signs : SparseLayout::floats};
}

Momentum momentum_of(const MomentumSettings& settings, float* velocity, const float* scale) {
  const auto masking = settings.masking == Masking::always  ? Momentum::always
                       : settings.masking == Masking::never ? Momentum::never
                                                            : Momentum::unless_all_is_sent;
  return {velocity, settings.factor, settings.nesterov, masking, settings.clip > 0 ? scale : nullptr};
}

std::size_t rank_of_guess(std::size_t n, std::size_t k) {
  const std::size_t count = GuessThreshold::sampled(n);
  const double expected = static_cast<double>(k) * static_cast<double>(count) / static_cast<double>(n);
  // A guess that is too high costs three more passes, one that is too low little.
  const auto rank = static_cast<std::size_t>(expected + 4 * std::sqrt(expected) + 4);
  return rank < count ? rank : 0;
}

float subset_scale(const Plan& plan, std::size_t n) {
  return plan.scaled ? static_cast<float>(n) / static_cast<float>(sent_of(plan, n, 0)) : 1.0F;
}

}  // namespace gossamer::cuda
