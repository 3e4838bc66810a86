#include "client/trainers/elastic.h"
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

const char* const kFedAvg =
    "McMahan, Moore, Ramage, Hampson, Aguera y Arcas: Communication-efficient learning of deep networks from "
    "decentralized data, 2017";
const char* const kElastic = "Zhang, Choromanska, LeCun: Deep learning with elastic averaging SGD, 2015";

std::vector<OptionSpec> eamsgd_options() {
  std::vector<OptionSpec> options = elastic_options("eamsgd");
  options.push_back(real_option("algorithm.eamsgd.momentum", 0.99, "delta, Nesterov momentum of the clients")
                        .at_least(0)
                        .at_most(1));
  return options;
}

}  // namespace

const Registry<Algorithm>& algorithms() {
  static const Registry<Algorithm> table{
      "algorithms",
      "algorithm.name",
      "fedavg",
      "how clients train and what they exchange",
      {
          {{"fedavg", "epochs of local SGD, models averaged by examples", kFedAvg, {}}, make_fedavg},
          {{"fedsgd", "one full-batch gradient step a round", kFedAvg, {}}, make_fedsgd},
          {{"fedprox",
            "fedavg with a proximal term; partial work of stragglers is kept",
            "Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: Federated optimization in heterogeneous networks, "
            "2020",
            {real_option("algorithm.fedprox.mu", 1, "weight of the proximal term").at_least(0)}},
           make_fedprox},
          {{"local_sgd",
            "client.local_steps steps on every worker, then the plain mean",
            "Stich: Local SGD converges fast and communicates little, 2019",
            {}},
           make_local_sgd},
          {{"easgd", "clients with models of their own, tied elastically to a centre", kElastic,
            elastic_options("easgd")},
           make_easgd},
          {{"eamsgd", "easgd with Nesterov momentum on the clients", kElastic, eamsgd_options()},
           make_eamsgd},
          {{"downpour",
            "asynchronous workers push the sums of their plain steps",
            "Dean et al.: Large scale distributed deep networks, 2012",
            {}},
           make_downpour},
          {{"fedasync",
            "asynchronous fedavg: each client's model is mixed in as it comes in",
            "Xie, Koyejo, Gupta: Asynchronous federated optimization, 2019",
            {}},
           make_fedasync},
          {{"fedbuff",
            "asynchronous fedavg: every sync.buffer updates make a new model",
            "Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba: Federated learning with buffered "
            "asynchronous "
            "aggregation, 2022",
            {}},
           make_fedbuff},
          {{"dc_asgd",
            "asynchronous SGD with delay compensation",
            "Zheng, Meng, Wang, Chen, Yu, Ma, Liu: Asynchronous stochastic gradient descent with delay "
            "compensation, 2017",
            {}},
           make_dc_asgd},
          {{"adaptive_tau",
            "local SGD whose number of local steps the server chooses under a budget of time (sync.budget_s)",
            "Wang, Tuor, Salonidis, Leung, Makaya, He, Chan: Adaptive federated learning in resource "
            "constrained edge computing systems, 2019",
            {}},
           make_adaptive_tau},
          {{"sync_sgd",
            "synchronous data-parallel SGD: peers step by their mean gradient, summed during the backward "
            "pass",
            "Li et al.: PyTorch Distributed: experiences on accelerating data parallel training, 2020",
            {integer_option("algorithm.sync_sgd.bucket_kb", 256, "gradients that are summed together, in KiB")
                 .at_least(1)
                 .at_most(1 << 20),
             text_option(
                 "algorithm.sync_sgd.factors", "auto",
                 "when a dense layer's gradient travels as its factors: auto, for fast networks, where "
                 "these are less than an eighth of it, and every peer multiplies all of them (on machines "
                 "of one kind), or less than half, and every peer makes some rows of the weights for all; "
                 "shorter, for slow ones, wherever they are shorter, and every peer multiplies all; never")
                 .one_of({"auto", "shorter", "never"})}},
           make_sync_sgd},
      }};
  return table;
}

}  // namespace gossamer
