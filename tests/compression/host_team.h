#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace gossamer::cuda {

// The threads of a team one after another, from the first to the last or the other way: what differs between
// the two relied on another thread within a call.
template <unsigned threads, bool backwards>
class HostTeam {
 public:
  template <class T>
  class PerThread {
   public:
    T& operator[](unsigned thread) { return values_.at(thread); }

   private:
    std::vector<T> values_ = std::vector<T>(threads);
  };

  template <class F>
  void each(const F& f) {
    for (unsigned k = 0; k < threads; ++k) f(backwards ? threads - 1 - k : k);
  }
  template <class F>
  std::uint32_t largest(const F& f) {
    std::uint32_t found = 0;
    each([&](unsigned thread) { found = std::max(found, f(thread)); });
    return found;
  }
  template <class T, class F>
  T prefix(PerThread<T>& before, const F& f) {
    std::vector<T> own(threads);
    each([&](unsigned thread) { own[thread] = f(thread); });
    T sum = 0;
    for (unsigned thread = 0; thread < threads; ++thread) {
      before[thread] = sum;
      sum += own[thread];
    }
    return sum;
  }
};

// A launch: all teams of a job, each with shared memory that holds no zeros when it begins.
template <bool backwards, class Job>
void run_on_host(const Job& job) {
  for (std::size_t k = 0; k < job.teams(); ++k) {
    HostTeam<Job::kThreads, backwards> team;
    typename Job::Shared shared;
    std::fill_n(reinterpret_cast<unsigned char*>(&shared), sizeof shared, static_cast<unsigned char>(0xA5));
    job.run(team, backwards ? job.teams() - 1 - k : k, shared);
  }
}

}  // namespace gossamer::cuda
