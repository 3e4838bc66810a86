#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/trainers/local_work.h"

namespace gossamer {

// What EASGD and EAMSGD share (Zhang, Choromanska, LeCun: "Deep learning with elastic averaging SGD", NeurIPS
// 2015). With p clients and the moving rate alpha, every client.local_steps steps:
//   x_i <- x_i + (the client's first step) - alpha (x_i - centre)
// Synchronous (sync.mode = bsp), once a round and from old values only:
//   centre <- centre + alpha sum_i (x_i - centre)
// A client keeps x_i and returns x_i - centre as its update; the server's plain sgd moves the centre by the
// mean of these times beta = p alpha.
// Asynchronous (sync.mode = async): each client asks for the centre when it has made its steps, returns
// alpha (x_i - centre) at once, and trains on; the server adds that as it comes in. `method` is easgd or
// eamsgd.

// The keys of either method.
std::vector<OptionSpec> elastic_options(const std::string& method);
// algorithm.<method>.alpha, or where that is 0 algorithm.<method>.beta / data.clients.
double elastic_alpha(const Options& options, const std::string& method);
// What the method fixes on the server and on the clients. Throws ConfigError where beta comes out above 1.
void preset_elastic(Options& options, const std::string& method);

// The work of a client of either method, which says what a step is. A client keeps x_i, then `more` floats of
// the method's own, and where it exchanges on request alpha (x_i - centre) and what its last training came
// to.
class ElasticTrainer : public LocalTrainer {
 public:
  Update train(std::span<const float> centre, const TrainTask& task) final;
  void go_on(const TrainTask& task) final;

 protected:
  // `more`: lengths of the vectors, which start at 0.
  ElasticTrainer(const Options& options, std::unique_ptr<Model> model, const std::string& method,
                 std::vector<std::size_t> more);
  // One step of work_, whose weights are x_i.
  virtual void step(TrainingState& state) = 0;

  LocalWork work_;

 private:
  void open_state(const TrainTask& task, std::span<const float> centre) const;
  // The steps of a round, the first one together with x_i -= factor * offset.
  void work(const TrainTask& task, std::span<const float> offset, float factor);
  FloatBuffer& pull_of(TrainingState& state) const { return state.at(state.size() - 2); }

  const float alpha_;
  const bool on_request_;
  std::vector<std::size_t> more_;
};

}  // namespace gossamer
