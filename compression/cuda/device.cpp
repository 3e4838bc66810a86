#include "compression/cuda/device.h"

#include "core/error.h"

namespace gossamer::cuda {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  // Whoever goes on after this must not find the fault again in a call that has none.
  cudaGetLastError();
  throw RunError(std::string(call) + ": " + cudaGetErrorString(status));
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    return std::string("no CUDA device: ") + cudaGetErrorString(status);
  }
  return count == 0 ? "no CUDA device" : "";
}

std::string device_name() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  stream_.reset(stream);
}

void Stream::wait() const { check(cudaStreamSynchronize(get()), "cudaStreamSynchronize"); }

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  event_.reset(event);
}

void Event::record(const Stream& stream) {
  check(cudaEventRecord(event_.get(), stream.get()), "cudaEventRecord");
}

float Event::ms_since(const Event& earlier) const {
  check(cudaEventSynchronize(event_.get()), "cudaEventSynchronize");
  float ms = 0;
  check(cudaEventElapsedTime(&ms, earlier.event_.get(), event_.get()), "cudaEventElapsedTime");
  return ms;
}

namespace detail {

void* allocate_on_device(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) check(cudaMalloc(&memory, bytes), "cudaMalloc");
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
  return memory;
}

}  // namespace detail

void copy(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.get()), "cudaMemcpyAsync");
}

void fill_zero(void* to, std::size_t bytes, const Stream& stream) {
  if (bytes > 0) check(cudaMemsetAsync(to, 0, bytes, stream.get()), "cudaMemsetAsync");
}

}  // namespace gossamer::cuda
