#pragma once

#include <memory>
#include <string>

#include "client/trainers/trainer.h"

namespace gossamer {

std::unique_ptr<Algorithm> make_fedavg(const Options&);
std::unique_ptr<Algorithm> make_fedsgd(const Options&);
std::unique_ptr<Algorithm> make_fedprox(const Options&);
std::unique_ptr<Algorithm> make_local_sgd(const Options&);
std::unique_ptr<Algorithm> make_easgd(const Options&);
std::unique_ptr<Algorithm> make_eamsgd(const Options&);
std::unique_ptr<Algorithm> make_downpour(const Options&);
std::unique_ptr<Algorithm> make_fedasync(const Options&);
std::unique_ptr<Algorithm> make_fedbuff(const Options&);
std::unique_ptr<Algorithm> make_dc_asgd(const Options&);
std::unique_ptr<Algorithm> make_adaptive_tau(const Options&);
std::unique_ptr<Algorithm> make_sync_sgd(const Options&);

// The trainer of fedavg and of what is a preset of it: local steps from the global model, and the difference.
std::unique_ptr<LocalTrainer> make_averaging_trainer(const Options& options, std::unique_ptr<Model> model);

// Every client takes part in every round. Throws ConfigError, naming `algorithm`, where the user asked for a
// part of them.
void preset_whole_cohort(Options& options, const std::string& algorithm);
// A number of local steps, 10 where the user gave none.
void preset_local_steps(Options& options, const std::string& algorithm);
// Clients make steps of plain SGD.
void preset_plain_steps(Options& options, const std::string& algorithm);
// The server adds updates as they come to it.
void preset_plain_sum(Options& options, const std::string& algorithm);

}  // namespace gossamer
