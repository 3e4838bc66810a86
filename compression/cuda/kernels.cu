// What is CUDA's about the jobs: how threads wait for one another, and launches. The arithmetic has to give
// the bits that the processor gives, so this file is compiled without fused multiply-add and with exact
// divisions and square roots (CMakeLists.txt).
#include "compression/cuda/kernels.h"

#include <climits>
#include <type_traits>

#include "compression/cuda/check.h"

namespace gossamer::cuda {
namespace {

constexpr unsigned kAllLanes = 0xFFFFFFFFU;
constexpr unsigned kWarpsABlock = 8;  // of jobs whose team is a warp

__device__ std::uint32_t largest_of_warp(std::uint32_t own) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(kAllLanes, own);
#else
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2)
    own = max(own, __shfl_xor_sync(kAllLanes, own, distance));
  return own;
#endif
}

// The sum of those of the lanes up to this one.
template <class T>
__device__ T running_sum_of_warp(T sum) {
  for (unsigned distance = 1; distance < kWarp; distance *= 2) {
    const T before = __shfl_up_sync(kAllLanes, sum, distance);
    if (threadIdx.x % kWarp >= distance) sum += before;
  }
  return sum;
}

template <class T>
class OwnValue {
 public:
  __device__ T& operator[](unsigned) { return value_; }

 private:
  T value_;
};

class WarpTeam {
 public:
  template <class T>
  using PerThread = OwnValue<T>;

  template <class F>
  __device__ void each(const F& f) {
    f(threadIdx.x % kWarp);
    __syncwarp();
  }
  template <class F>
  __device__ std::uint32_t largest(const F& f) {
    const std::uint32_t found = largest_of_warp(f(threadIdx.x % kWarp));
    __syncwarp();
    return found;
  }
  template <class T, class F>
  __device__ T prefix(OwnValue<T>& before, const F& f) {
    const T own = f(threadIdx.x % kWarp), sum = running_sum_of_warp(own);
    before[0] = sum - own;
    __syncwarp();
    return __shfl_sync(kAllLanes, sum, kWarp - 1);
  }
};

template <unsigned threads>
class BlockTeam {
 public:
  template <class T>
  using PerThread = OwnValue<T>;

  template <class F>
  __device__ void each(const F& f) {
    f(threadIdx.x);
    __syncthreads();
  }
  template <class F>
  __device__ std::uint32_t largest(const F& f) {
    __shared__ std::uint32_t of_warps[threads / kWarp];
    const std::uint32_t own = largest_of_warp(f(threadIdx.x));
    if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = own;
    __syncthreads();
    std::uint32_t found = 0;
    for (unsigned warp = 0; warp < threads / kWarp; ++warp) found = max(found, of_warps[warp]);
    __syncthreads();  // before the next use of it
    return found;
  }
  template <class T, class F>
  __device__ T prefix(OwnValue<T>& before, const F& f) {
    static_assert(threads / kWarp <= kWarp);
    __shared__ T of_warps[kWarp];  // the sums up to the end of each
    const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const T own = f(threadIdx.x), sum = running_sum_of_warp(own);
    if (lane == kWarp - 1) of_warps[warp] = sum;
    __syncthreads();
    if (warp == 0) {
      const T of_lane = lane < threads / kWarp ? of_warps[lane] : T{0};
      of_warps[lane] = running_sum_of_warp(of_lane);
    }
    __syncthreads();
    before[0] = sum - own + (warp == 0 ? T{0} : of_warps[warp - 1]);
    const T total = of_warps[threads / kWarp - 1];
    __syncthreads();  // before the next use of it
    return total;
  }
};

template <class Job, class = void>
constexpr unsigned kTeamsAtOnceOf = 1;
template <class Job>
constexpr unsigned kTeamsAtOnceOf<Job, std::void_t<decltype(Job::kTeamsAtOnce)>> = Job::kTeamsAtOnce;

template <class Job>
__global__ void __launch_bounds__(Job::kThreads, kTeamsAtOnceOf<Job>) block_kernel(const Job job) {
  __shared__ typename Job::Shared shared;
  BlockTeam<Job::kThreads> team;
  job.run(team, blockIdx.x, shared);
}

template <class Job>
__global__ void __launch_bounds__(kWarp* kWarpsABlock) warp_kernel(const Job job, std::size_t teams) {
  __shared__ typename Job::Shared shared[kWarpsABlock];
  const unsigned warp = threadIdx.x / kWarp;
  const std::size_t number = std::size_t{blockIdx.x} * kWarpsABlock + warp;
  if (number >= teams) return;
  WarpTeam team;
  job.run(team, number, shared[warp]);
}

}  // namespace

template <class Job>
void launch(const Job& job, cudaStream_t stream) {
  constexpr bool kOfWarps = Job::kThreads == kWarp;
  const std::size_t teams = job.teams();
  if (teams == 0) return;
  const std::size_t blocks = kOfWarps ? parts_of(teams, kWarpsABlock) : teams;
  if (blocks > INT_MAX) check(cudaErrorInvalidConfiguration, "cudaLaunchKernel");
  if constexpr (kOfWarps) {
    warp_kernel<<<static_cast<unsigned>(blocks), kWarp * kWarpsABlock, 0, stream>>>(job, teams);
  } else {
    block_kernel<<<static_cast<unsigned>(blocks), Job::kThreads, 0, stream>>>(job);
  }
  check(cudaGetLastError(), "cudaLaunchKernel");
}

template void launch(const EncodeHalves<Fp16>&, cudaStream_t);
template void launch(const EncodeHalves<Bf16>&, cudaStream_t);
template void launch(const EncodeInt8<false>&, cudaStream_t);
template void launch(const EncodeInt8<true>&, cudaStream_t);
template void launch(const EncodeOneBit&, cudaStream_t);
template void launch(const TernaryTotals&, cudaStream_t);
template void launch(const TernaryScale&, cudaStream_t);
template void launch(const EncodeTernary&, cudaStream_t);
template void launch(const EncodeQsgd<2, false>&, cudaStream_t);
template void launch(const EncodeQsgd<2, true>&, cudaStream_t);
template void launch(const EncodeQsgd<4, false>&, cudaStream_t);
template void launch(const EncodeQsgd<4, true>&, cudaStream_t);
template void launch(const EncodeQsgd<8, false>&, cudaStream_t);
template void launch(const EncodeQsgd<8, true>&, cudaStream_t);
template void launch(const AddHalves<Fp16>&, cudaStream_t);
template void launch(const AddHalves<Bf16>&, cudaStream_t);
template void launch(const AddInt8&, cudaStream_t);
template void launch(const AddOneBit&, cudaStream_t);
template void launch(const AddTernary&, cudaStream_t);
template void launch(const AddQsgd<2>&, cudaStream_t);
template void launch(const AddQsgd<4>&, cudaStream_t);
template void launch(const AddQsgd<8>&, cudaStream_t);
template void launch(const GuessThreshold&, cudaStream_t);
template void launch(const SetThreshold&, cudaStream_t);
template void launch(const ListLarge<false>&, cudaStream_t);
template void launch(const ListLarge<true>&, cudaStream_t);
template void launch(const CountDigits<0>&, cudaStream_t);
template void launch(const CountDigits<1>&, cudaStream_t);
template void launch(const CountDigits<2>&, cudaStream_t);
template void launch(const CountChosen<false>&, cudaStream_t);
template void launch(const CountChosen<true>&, cudaStream_t);
template void launch(const AddUpShares&, cudaStream_t);
template void launch(const WriteChosen&, cudaStream_t);
template void launch(const MaskLate&, cudaStream_t);
template void launch(const MeasureCodes&, cudaStream_t);
template void launch(const AddUpCodes&, cudaStream_t);
template void launch(const WriteCodes&, cudaStream_t);
template void launch(const AccumulateResidual&, cudaStream_t);
template void launch(const DecidePlaces&, cudaStream_t);
template void launch(const DrawRanks&, cudaStream_t);
template void launch(const TakeMarked&, cudaStream_t);
template void launch(const SquareSums&, cudaStream_t);
template void launch(const ClipScale&, cudaStream_t);
template void launch(const AddResidual&, cudaStream_t);
template void launch(const WriteSubset&, cudaStream_t);
template void launch(const MeasureBounded&, cudaStream_t);
template void launch(const AddUpBounded&, cudaStream_t);
template void launch(const WriteBounded&, cudaStream_t);
template void launch(const MapBounded&, cudaStream_t);
template void launch(const TraceBounded&, cudaStream_t);
template void launch(const PlaceBounded&, cudaStream_t);
template void launch(const AddBounded&, cudaStream_t);
template void launch(const EncodeSketched&, cudaStream_t);
template void launch(const AddSketched&, cudaStream_t);
template void launch(const SplitValues<true>&, cudaStream_t);
template void launch(const SplitValues<false>&, cudaStream_t);
template void launch(const FindBound<true>&, cudaStream_t);
template void launch(const FindBound<false>&, cudaStream_t);
template void launch(const FindBoundAlone&, cudaStream_t);
template void launch(const DrawTravellers&, cudaStream_t);
template void launch(const AddUpTravellers&, cudaStream_t);
template void launch(const TakeTravellers&, cudaStream_t);
template void launch(const SplitTravellers&, cudaStream_t);
template void launch(const PlaceWangniParts&, cudaStream_t);
template void launch(const WriteCertain&, cudaStream_t);
template void launch(const WriteUncertain&, cudaStream_t);
template void launch(const CountFlags&, cudaStream_t);
template void launch(const PlaceReceivedParts&, cudaStream_t);
template void launch(const EncodeDense&, cudaStream_t);
template void launch(const AddDense&, cudaStream_t);
template void launch(const ListSignedRows&, cudaStream_t);
template void launch(const SumSignedRows<false>&, cudaStream_t);
template void launch(const SumSignedRows<true>&, cudaStream_t);
template void launch(const CheckFactor&, cudaStream_t);
template void launch(const WriteFactor&, cudaStream_t);
template void launch(const AddLowRank&, cudaStream_t);
template void launch(const DrawColumns&, cudaStream_t);
template void launch(const ProjectRows<false>&, cudaStream_t);
template void launch(const ProjectRows<true>&, cudaStream_t);
template void launch(const Orthonormalize&, cudaStream_t);
template void launch(const ProjectBack&, cudaStream_t);
template void launch(const AddUpBack&, cudaStream_t);
template void launch(const NormalizeColumns&, cudaStream_t);
template void launch(const AddProduct&, cudaStream_t);
template void launch(const MapCodes&, cudaStream_t);
template void launch(const TraceCodes&, cudaStream_t);
template void launch(const AddSparse<TailValues>&, cudaStream_t);
template void launch(const AddSparse<WangniValues>&, cudaStream_t);
template void launch(const AddSubset&, cudaStream_t);

}  // namespace gossamer::cuda
