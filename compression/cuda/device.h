#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>

#include "compression/cuda/check.h"

// What is owned on a CUDA device, the one that is the calling thread's. What fails throws RunError.
namespace gossamer::cuda {

// Why nothing can be done on a GPU here, in a few words; empty where it can.
std::string why_no_device();
// What the device is called.
std::string device_name();

// Work in order, on its own: it does not wait for the default stream. Whatever is asynchronous here takes the
// stream that it belongs to, and memory that it names has to outlive it.
class Stream {
 public:
  Stream();
  cudaStream_t get() const noexcept { return stream_.get(); }
  // Until all is done that was put into it.
  void wait() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<CUstream_st, Destroy> stream_;
};

// A place in a stream.
class Event {
 public:
  Event();
  void record(const Stream& stream);
  // Milliseconds since another one. Waits for both.
  float ms_since(const Event& earlier) const;

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
  };
  std::unique_ptr<CUevent_st, Destroy> event_;
};

namespace detail {
void* allocate_on_device(std::size_t bytes);
void* allocate_pinned(std::size_t bytes);
struct FreeOnDevice {
  void operator()(void* p) const noexcept { cudaFree(p); }
};
struct FreePinned {
  void operator()(void* p) const noexcept { cudaFreeHost(p); }
};
}  // namespace detail

// Memory of the device, aligned to 256 bytes and not initialised.
template <class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t size)
      : size_(size), memory_(static_cast<T*>(detail::allocate_on_device(size * sizeof(T)))) {}
  T* data() const noexcept { return memory_.get(); }
  std::size_t size() const noexcept { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<T, detail::FreeOnDevice> memory_;
};

// Memory of the host that copies to and from the device can go on beside other work.
template <class T>
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t size)
      : size_(size), memory_(static_cast<T*>(detail::allocate_pinned(size * sizeof(T)))) {}
  T* data() const noexcept { return memory_.get(); }
  std::size_t size() const noexcept { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<T, detail::FreePinned> memory_;
};

// Between any two places, in the stream's order.
void copy(void* to, const void* from, std::size_t bytes, const Stream& stream);
void fill_zero(void* to, std::size_t bytes, const Stream& stream);

}  // namespace gossamer::cuda
