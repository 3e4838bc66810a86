#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace gossamer {

// Asks for pages of 2 MiB for what these bytes cover of them, where they are many. A hint, without effect
// where the system has none.
void use_huge_pages(void* begin, std::size_t size) noexcept;

// Cache-line aligned, and left uninitialised by resize(): large buffers are always overwritten whole. Aligns
// by hand: glibc's memalign() (before 2.38) cannot take a block again that it gave out and got back, as it
// asks the heap for more than the block's length, so memory would go on growing by a model now and then.
template <class T>
struct BufferAllocator {
  using value_type = T;
  static constexpr std::size_t kAlignment = 64;
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= sizeof(void*));

  BufferAllocator() = default;
  template <class U>
  BufferAllocator(const BufferAllocator<U>&) noexcept {}  // NOLINT: allocator conversion is implicit

  // From the next multiple after the block's begin; the block's address lies before it.
  T* allocate(std::size_t n) {
    char* const block = static_cast<char*>(::operator new(n * sizeof(T) + kAlignment));
    use_huge_pages(block, n * sizeof(T));
    char* const begin = block + kAlignment - reinterpret_cast<std::uintptr_t>(block) % kAlignment;
    std::memcpy(begin - sizeof block, &block, sizeof block);
    return reinterpret_cast<T*>(begin);
  }
  void deallocate(T* p, std::size_t) noexcept {
    void* block;
    std::memcpy(&block, reinterpret_cast<char*>(p) - sizeof block, sizeof block);
    ::operator delete(block);
  }

  template <class U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Args>
  void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
  }
  bool operator==(const BufferAllocator&) const noexcept { return true; }
};

using FloatBuffer = std::vector<float, BufferAllocator<float>>;
using ByteBuffer = std::vector<std::byte, BufferAllocator<std::byte>>;

// Immutable bytes that keep their storage alive, whatever it is (a buffer, a ZeroMQ message, a model). This
// is how a payload goes from a trainer to a socket without a copy. An empty owner means that the bytes
// outlive the SharedBytes by other means.
struct SharedBytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
  // Known to hold no NaN and no infinity where read as floats: who took the bytes in has looked (frame.h).
  bool finite = false;

  static SharedBytes of(ByteBuffer buffer) {
    auto held = std::make_shared<const ByteBuffer>(std::move(buffer));
    return {held, {held->data(), held->size()}};
  }
  std::size_t size() const noexcept { return bytes.size(); }
};

// Immutable floats that keep their storage alive; the float twin of SharedBytes.
struct SharedFloats {
  std::shared_ptr<const void> owner;
  std::span<const float> values;

  static SharedFloats of(FloatBuffer buffer) {
    auto held = std::make_shared<const FloatBuffer>(std::move(buffer));
    return {held, {held->data(), held->size()}};
  }
  std::size_t size() const noexcept { return values.size(); }
};

}  // namespace gossamer
