#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "compression/cuda/jobs.h"
#include "compression/dgc_schedule.h"
#include "compression/matrix.h"
#include "compression/method.h"
#include "compression/methods.h"

namespace gossamer::cuda {

// A method that there are kernels for, with its settings.
struct Plan {
  enum class Kind {
    fp16,
    bf16,
    int8,
    one_bit,
    terngrad,
    qsgd,
    top_k,
    dgc,
    adacomp,
    esgd,
    threshold,
    random_k,
    bounded_error,
    sketched,
    wangni,
    low_rank,
    powersgd
  };
  Kind kind = Kind::fp16;
  bool stochastic = false;  // int8
  std::size_t block = 0;    // one_bit
  double clip = 0;          // terngrad
  int bits = 0;             // qsgd, sketched
  bool euclidean = false;
  double density = 1;          // top_k, adacomp, esgd, random_k, sketched and wangni
  bool scaled = false;         // random_k, sketched, wangni: no error is fed back
  bool rotated = false;        // sketched
  bool masks = false;          // it is random_mask
  bool divides = false;        // adacomp
  float momentum = 0;          // esgd
  DgcSchedule schedule{1, 0};  // dgc
  float tau = 0;               // threshold
  float step = 0;              // bounded_error
  MatrixShape matrix;          // low_rank, powersgd: the piece's
  std::size_t rank = 0;
  bool projects = false;  // low_rank
  Memories memories;
};

// The method of that name as the options set it, for pieces of a shape (MakeMethod); none where there are no
// kernels for it, or for what the options put around it.
std::optional<Plan> plan_of(const std::string& method, const Options& options,
                            std::span<const std::int64_t> shape = {});
// Whether that is another one for pieces of another shape.
bool depends_on_shape(const Plan& plan);
// The same method for the processor, whose payloads and residuals are the same; without its memories.
std::unique_ptr<Method> host_method_of(const Plan& plan, const Options& options);
// How many values it sends in a round where that is known before, and else the most.
std::size_t sent_of(const Plan& plan, std::size_t n, std::int64_t round);
// What encode() and add() work in, for so many floats or fewer.
std::size_t workspace_bytes(const Plan& plan, std::size_t n);
// The same for any plan.
std::size_t most_workspace_bytes(std::size_t n);

// See jobs.h.
struct EncodeOperands {
  const float* values = nullptr;
  // The memories', or, of a plan without momentum, a residual (of powersgd only where the memories have one);
  // and the method's own behind that. Null: none, of a method without any of its own.
  float* state = nullptr;
  std::size_t n = 0;
  EncodeContext context;
  std::uint8_t* payload = nullptr;
  std::uint32_t* refused = nullptr;  // a zero
  std::uint64_t* length = nullptr;   // becomes the payload's, where that is not fixed
  std::uint8_t* workspace = nullptr;
};

struct AddOperands {
  const std::uint8_t* payload = nullptr;
  std::size_t bytes = 0;  // of it
  float weight = 1;
  float* sum = nullptr;
  std::size_t n = 0;
  std::uint8_t* workspace = nullptr;
};

// A workspace, out of which memory is taken; of nothing, to know how much that is.
class Room {
 public:
  std::size_t bytes() const { return bytes_; }

 protected:
  template <class T>
  T* take(std::uint8_t* begin, std::size_t count) {
    T* const place = begin == nullptr ? nullptr : reinterpret_cast<T*>(begin + bytes_);
    bytes_ += parts_of(count * sizeof(T), 256) * 256;
    return place;
  }

 private:
  std::size_t bytes_ = 0;
};

// That of the methods that choose some values; the same in all rounds.
struct SparseRoom : Room {
  SparseRoom(std::uint8_t* begin, const Plan& plan, std::size_t n);
  Choosing* choosing;
  Lists lists;
  Shares* shares;
  Chosen chosen;
  std::uint64_t* code_bits;
  float* scale;
  double* square_sums;
  std::uint32_t* stay;  // of esgd
  float* ranks;
  CodeMap* code_maps;
  CodeStep* code_begins;
};

// That of bounded_error.
struct BoundedRoom : Room {
  BoundedRoom(std::uint8_t* begin, std::size_t n);
  std::uint64_t* begins;  // of the blocks of a payload
  BoundedMap* maps;
  BoundedEntry* entries;
};

// That of wangni.
struct WangniRoom : Room {
  WangniRoom(std::uint8_t* begin, std::size_t n);
  SplitTotal* totals;
  BoundSearch* search;
  std::uint32_t* travel;
  std::uint64_t* counts;
  Choosing* choosing;
  Chosen chosen;
  std::uint64_t* certain;
  WangniParts* parts;
  std::uint64_t* code_bits;
  CodeMap* code_maps;
  CodeStep* code_begins;
};
// So often all teams go over the values for the bound, and then one goes on.
inline constexpr int kBoundSteps = 8;

// That of low_rank.
struct LowRankRoom : Room {
  LowRankRoom(std::uint8_t* begin, const LowRankShape& shape);
  LowRankSums sums;  // without the payload
};

// That of powersgd.
struct PowerSgdRoom : Room {
  PowerSgdRoom(std::uint8_t* begin, const PowerSgdShape& shape);
  PowerSgdFactors factors;  // without Q and the payload
};

LowRankShape low_rank_of(const Plan& plan);
PowerSgdShape powersgd_of(const Plan& plan);
SketchLayout sketch_layout_of(const Plan& plan, std::size_t n);
SparseLayout layout_of(const Plan& plan);
Momentum momentum_of(const MomentumSettings& settings, float* velocity, const float* scale);
// Of the threshold that is guessed, among the sample; 0 where there is no use in guessing.
std::size_t rank_of_guess(std::size_t n, std::size_t k);
// What random_k's values are multiplied by when they are decoded, and sketched's when they are encoded.
float subset_scale(const Plan& plan, std::size_t n);

// What is chosen from.
struct ChoiceOperands {
  const float* values;
  float* residual;
  Momentum momentum;
  Ages ages;
  std::size_t n, k;
  std::uint32_t* refused;
};

// The k largest, or, of `threshold`, all that are at least tau.
template <class Launch>
void choose(const Plan& plan, const ChoiceOperands& x, const SparseRoom& room, const Launch& launch) {
  const bool by_magnitude = plan.kind == Plan::Kind::threshold;
  const auto k = static_cast<std::uint32_t>(by_magnitude ? 0 : x.k);
  const Listed listed{x.residual != nullptr ? x.residual : x.values, x.n, room.lists};
  if (by_magnitude) {
    launch(SetThreshold{plan.tau, room.choosing});
  } else {
    if (x.momentum.scale != nullptr) {
      launch(SquareSums{x.values, x.n, room.square_sums});
      launch(ClipScale{room.square_sums, parts_of(x.n, SquareSums::kPart), plan.memories.momentum->clip,
                       room.scale});
    }
    launch(GuessThreshold{x.values, x.residual, x.momentum, x.n, rank_of_guess(x.n, k), room.choosing});
  }
  if (x.momentum.velocity != nullptr) {
    launch(ListLarge<true>{x.values, x.residual, x.momentum, x.n, room.lists, room.choosing, x.refused});
  } else {
    launch(ListLarge<false>{x.values, x.residual, x.momentum, x.n, room.lists, room.choosing, x.refused});
  }
  if (by_magnitude) {
    launch(CountChosen<false>{listed, k, room.choosing, room.shares});
  } else {
    launch(CountDigits<0>{listed, k, room.choosing});
    launch(CountDigits<1>{listed, k, room.choosing});
    launch(CountDigits<2>{listed, k, room.choosing});
    launch(CountChosen<true>{listed, k, room.choosing, room.shares});
  }
  launch(AddUpShares{listed.segments(), room.choosing, room.shares});
  launch(WriteChosen{listed, k, room.choosing, room.shares, x.residual, x.momentum, by_magnitude, plan.tau,
                     x.ages, room.chosen});
  if (x.momentum.masking == Momentum::unless_all_is_sent)
    launch(MaskLate{x.residual, x.momentum, k, x.n, room.choosing});
}

// The places that are to be sent become those of the largest ranks.
template <class Launch>
void encode_esgd(const Plan& plan, const EncodeOperands& x, const SparseRoom& room, const Launch& launch) {
  const std::size_t k = sent_of(plan, x.n, 0);
  float* const residual = x.state;
  float* const marks = residual + x.n;
  launch(AccumulateResidual{x.values, plan.momentum, residual, marks, x.n, room.shares, x.refused});
  launch(DecidePlaces{room.shares, parts_of(x.n, AccumulateResidual::kPart), k,
                      static_cast<float>(x.context.loss), marks + x.n, room.stay});
  launch(DrawRanks{residual, marks, room.ranks, x.n, x.context.key, room.stay});
  choose(plan, {room.ranks, nullptr, {}, {}, x.n, k, x.refused}, room, launch);
  launch(TakeMarked{room.chosen.indices, room.chosen.values, k, residual, marks});
}

template <class Launch>
void encode_sparse(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const std::size_t k = sent_of(plan, x.n, x.context.round);
  const SparseRoom room(x.workspace, plan, x.n);
  float* messages = nullptr;  // of adacomp
  if (plan.kind == Plan::Kind::esgd) {
    encode_esgd(plan, x, room, launch);
  } else {
    const bool moved = x.state != nullptr && plan.memories.momentum.has_value();
    float* const residual = moved ? x.state + x.n : x.state;
    const Momentum momentum = moved ? momentum_of(*plan.memories.momentum, x.state, room.scale) : Momentum{};
    float* const last = plan.kind == Plan::Kind::adacomp ? residual + x.n : nullptr;
    if (last != nullptr) messages = last + x.n;
    choose(plan, {x.values, residual, momentum, {last, messages, plan.divides}, x.n, k, x.refused}, room,
           launch);
  }
  const SparseLayout layout = layout_of(plan);
  launch(MeasureCodes{layout, x.n, k, room.choosing, room.chosen.indices, x.payload, room.code_bits});
  launch(AddUpCodes{layout, room.choosing, room.code_bits, x.payload, x.length, messages});
  launch(WriteCodes{layout, x.n, k, room.choosing, room.chosen, room.code_bits, x.payload});
}

template <class Launch>
void encode_subset(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const std::size_t k = sent_of(plan, x.n, 0);
  launch(AddResidual{x.values, x.state, x.n, x.refused});
  launch(WriteSubset{x.values, x.state, x.n, k, x.context.key, subset_scale(plan, x.n), x.payload});
}

template <class Launch>
void add_sparse(const Plan& plan, const AddOperands& x, const Launch& launch) {
  const SparseRoom room(x.workspace, plan, x.n);
  const CodedIndices codes{layout_of(plan), x.payload, x.bytes, x.n, sent_of(plan, x.n, 0)};
  launch(MapCodes{codes, room.code_maps});
  launch(TraceCodes{codes, room.code_maps, room.code_begins});
  launch(AddSparse<TailValues>{codes, room.code_begins, x.weight, {codes.layout.tail, plan.tau}, x.sum});
}

template <class Launch>
void encode_bounded(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const BoundedRoom room(x.workspace, x.n);
  launch(MeasureBounded{x.values, x.state, plan.step, x.n, room.begins, x.refused});
  launch(AddUpBounded{room.begins, BoundedLayout{x.n}.blocks(), x.length});
  launch(WriteBounded{x.values, x.state, plan.step, x.n, room.begins, x.payload});
}

template <class Launch>
void add_bounded(const Plan& plan, const AddOperands& x, const Launch& launch) {
  const BoundedRoom room(x.workspace, x.n);
  const BoundedPayload payload{x.payload, x.bytes};
  launch(MapBounded{payload, room.maps});
  launch(TraceBounded{payload, room.maps, room.entries});
  launch(PlaceBounded{payload, room.entries, BoundedLayout{x.n}.blocks(), room.begins});
  launch(AddBounded{payload, room.begins, plan.step, x.weight, x.sum, x.n});
}

template <class Launch>
void encode_sketched(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const SketchLayout layout = sketch_layout_of(plan, x.n);
  if (layout.chooses()) launch(AddResidual{x.values, x.state, x.n, x.refused});
  launch(EncodeSketched{x.values, x.state, layout, plan.rotated, !plan.scaled, subset_scale(plan, x.n),
                        x.context.key, x.payload, x.refused});
}

template <class Launch>
void encode_wangni(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const WangniRoom room(x.workspace, x.n);
  launch(SplitValues<true>{x.values, x.state, x.n, room.search, room.totals});
  launch(FindBound<true>{room.totals, x.n, plan.density, room.search, x.refused});
  for (int step = 0; step < kBoundSteps; ++step) {
    launch(SplitValues<false>{x.values, x.state, x.n, room.search, room.totals});
    launch(FindBound<false>{room.totals, x.n, plan.density, room.search, x.refused});
  }
  const float* const values = x.state != nullptr ? x.state : x.values;
  launch(FindBoundAlone{values, x.n, plan.density, room.search});
  launch(DrawTravellers{values, x.n, x.context.key, room.search, room.travel, room.counts});
  launch(AddUpTravellers{room.counts, parts_of(x.n, kSegment), room.choosing});
  launch(TakeTravellers{values, x.n, room.travel, room.counts, room.chosen});
  launch(SplitTravellers{room.chosen.values, x.n, room.choosing, room.search, room.totals, room.certain});
  launch(PlaceWangniParts{room.totals, plan.scaled, room.choosing, room.search, room.certain, room.parts,
                          x.payload});
  const TravellersOfBlock travellers{room.chosen.values, room.choosing, room.search, room.certain};
  launch(WriteCertain{travellers, x.n, room.parts, x.payload});
  launch(WriteUncertain{travellers, x.n, room.parts, room.chosen.indices, x.state, x.payload});
  const SparseLayout layout{true, SparseLayout::nothing, &room.parts->codes};
  launch(MeasureCodes{layout, x.n, x.n, room.choosing, room.chosen.indices, x.payload, room.code_bits});
  launch(AddUpCodes{layout, room.choosing, room.code_bits, x.payload, x.length, nullptr});
  launch(WriteCodes{layout, x.n, x.n, room.choosing, room.chosen, room.code_bits, x.payload});
}

template <class Launch>
void add_wangni(const AddOperands& x, const Launch& launch) {
  const WangniRoom room(x.workspace, x.n);
  launch(CountFlags{x.payload, x.n, room.certain});
  launch(PlaceReceivedParts{x.payload, room.certain, room.parts});
  const SparseLayout layout{true, SparseLayout::nothing, &room.parts->codes};
  const CodedIndices codes{layout, x.payload, x.bytes, x.n, 0};
  launch(MapCodes{codes, room.code_maps});
  launch(TraceCodes{codes, room.code_maps, room.code_begins});
  launch(AddSparse<WangniValues>{
      codes, room.code_begins, x.weight, {x.payload, room.certain, room.parts}, x.sum});
}

template <class Launch>
void encode_low_rank(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const LowRankShape shape = low_rank_of(plan);
  if (!shape.factorizes(x.n)) return launch(EncodeDense{x.values, x.state, x.payload, x.n, x.refused});
  LowRankSums sums = LowRankRoom(x.workspace, shape).sums;
  sums.payload = x.payload;
  launch(ListSignedRows{sums, x.context.key});
  launch(SumSignedRows<false>{x.values, x.state, sums, x.refused});
  launch(CheckFactor{sums});
  launch(SumSignedRows<true>{x.values, x.state, sums, x.refused});
  launch(WriteFactor{sums, plan.projects, x.context.key});
  if (x.state != nullptr) launch(AddLowRank{x.payload, shape, -1, x.state});
}

template <class Launch>
void encode_powersgd(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const PowerSgdShape shape = powersgd_of(plan);
  float* const residual = plan.memories.residual ? x.state : nullptr;
  if (!shape.factorizes(x.n)) return launch(EncodeDense{x.values, residual, x.payload, x.n, x.refused});
  PowerSgdFactors factors = PowerSgdRoom(x.workspace, shape).factors;
  factors.q = residual != nullptr ? residual + x.n : x.state;
  factors.payload = x.payload;
  const float* const m = residual != nullptr ? residual : x.values;
  launch(DrawColumns{factors, x.context.key});
  launch(ProjectRows<false>{x.values, residual, factors, x.refused});
  launch(ProjectRows<true>{x.values, residual, factors, x.refused});
  launch(Orthonormalize{factors, x.refused});
  launch(ProjectBack{m, factors});
  launch(AddUpBack{factors});
  launch(NormalizeColumns{factors});
  if (residual != nullptr) launch(AddProduct{x.payload, shape, -1, residual});
}

// Gives launch() the method's jobs, each of which begins when those before it have ended.
template <class Launch>
void encode(const Plan& plan, const EncodeOperands& x, const Launch& launch) {
  const auto qsgd = [&]<int bits>(std::integral_constant<int, bits>) {
    if (plan.euclidean) {
      launch(EncodeQsgd<bits, true>{x.values, x.state, x.context.key, x.payload, x.n, x.refused});
    } else {
      launch(EncodeQsgd<bits, false>{x.values, x.state, x.context.key, x.payload, x.n, x.refused});
    }
  };
  switch (plan.kind) {
    case Plan::Kind::fp16:
      return launch(EncodeHalves<Fp16>{x.values, x.state, x.payload, x.n, x.refused});
    case Plan::Kind::bf16:
      return launch(EncodeHalves<Bf16>{x.values, x.state, x.payload, x.n, x.refused});
    case Plan::Kind::int8:
      if (plan.stochastic)
        return launch(EncodeInt8<true>{x.values, x.state, x.context.key, x.payload, x.n, x.refused});
      return launch(EncodeInt8<false>{x.values, x.state, x.context.key, x.payload, x.n, x.refused});
    case Plan::Kind::one_bit:
      return launch(EncodeOneBit{x.values, x.state, plan.block, x.payload, x.n, x.refused});
    case Plan::Kind::terngrad: {
      auto* const totals = reinterpret_cast<TernaryTotal*>(x.workspace);
      launch(TernaryTotals{x.values, x.state, x.n, totals});
      launch(TernaryScale{totals, TernaryTotals::parts(x.n), x.n, plan.clip, x.payload, x.refused});
      return launch(EncodeTernary{x.values, x.state, x.context.key, x.payload, x.n, x.refused});
    }
    case Plan::Kind::qsgd:
      if (plan.bits == 2) return qsgd(std::integral_constant<int, 2>());
      if (plan.bits == 4) return qsgd(std::integral_constant<int, 4>());
      return qsgd(std::integral_constant<int, 8>());
    case Plan::Kind::top_k:
    case Plan::Kind::dgc:
    case Plan::Kind::adacomp:
    case Plan::Kind::esgd:
    case Plan::Kind::threshold:
      return x.n == 0 ? void() : encode_sparse(plan, x, launch);
    case Plan::Kind::random_k:
      return x.n == 0 ? void() : encode_subset(plan, x, launch);
    case Plan::Kind::bounded_error:
      return x.n == 0 ? void() : encode_bounded(plan, x, launch);
    case Plan::Kind::sketched:
      return x.n == 0 ? void() : encode_sketched(plan, x, launch);
    case Plan::Kind::wangni:
      return x.n == 0 ? void() : encode_wangni(plan, x, launch);
    case Plan::Kind::low_rank:
      return encode_low_rank(plan, x, launch);
    case Plan::Kind::powersgd:
      return encode_powersgd(plan, x, launch);
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
    case Plan::Kind::top_k:
    case Plan::Kind::dgc:
    case Plan::Kind::adacomp:
    case Plan::Kind::esgd:
    case Plan::Kind::threshold:
      return x.n == 0 ? void() : add_sparse(plan, x, launch);
    case Plan::Kind::random_k:
      if (x.n == 0) return;
      return launch(
          AddSubset{x.payload, x.weight, x.sum, x.n, sent_of(plan, x.n, 0), subset_scale(plan, x.n)});
    case Plan::Kind::bounded_error:
      return x.n == 0 ? void() : add_bounded(plan, x, launch);
    case Plan::Kind::sketched:
      if (x.n == 0) return;
      return launch(AddSketched{x.payload, sketch_layout_of(plan, x.n), plan.rotated, x.weight, x.sum});
    case Plan::Kind::wangni:
      return x.n == 0 ? void() : add_wangni(x, launch);
    case Plan::Kind::low_rank:
      if (!low_rank_of(plan).factorizes(x.n)) return launch(AddDense{x.payload, x.weight, x.sum, x.n});
      return launch(AddLowRank{x.payload, low_rank_of(plan), x.weight, x.sum});
    case Plan::Kind::powersgd:
      if (!powersgd_of(plan).factorizes(x.n)) return launch(AddDense{x.payload, x.weight, x.sum, x.n});
      return launch(AddProduct{x.payload, powersgd_of(plan), x.weight, x.sum});
  }
}

}  // namespace gossamer::cuda
