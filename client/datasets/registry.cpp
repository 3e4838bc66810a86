#include "client/datasets/dataset.h"
#include "client/datasets/methods.h"

namespace gossamer {

const Registry<FederatedData>& datasets() {
  static const Registry<FederatedData> table{
      "datasets",
      "data.dataset",
      "digits",
      "what is learnt from",
      {
          {{"digits",
            "28 x 28 handwritten-like digits, drawn on demand; a client is a writer under natural",
            "",
            {integer_option("data.digits.samples_per_client", 60, "training digits of a client (on average)")
                 .at_least(1)
                 .at_most(1'000'000),
             integer_option("data.digits.test_samples", 2000, "test digits, by writers who are no clients")
                 .at_least(1)
                 .at_most(1'000'000)}},
           make_digits},
          {{"mnist",
            "28 x 28 handwritten digits, IDX files (plain or .gz)",
            "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
            {}},
           make_mnist},
          {{"fashion_mnist",
            "28 x 28 pictures of clothing, IDX files (plain or .gz)",
            "Xiao, Rasul, Vollgraf, Fashion-MNIST, 2017",
            {}},
           make_fashion_mnist},
          {{"cifar10",
            "32 x 32 colour photographs of 10 things, binary batches",
            "Krizhevsky, Learning multiple layers of features from tiny images, 2009",
            {}},
           make_cifar10},
          {{"shakespeare",
            "next-character prediction on plays; a client is a speaking role under natural",
            "McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017",
            {integer_option("data.shakespeare.window", 80, "characters in a training example")
                 .at_least(1)
                 .at_most(10'000)}},
           make_shakespeare},
          {{"csv",
            "rows of comma-separated numbers, the last one an integer label",
            "",
            {real_option("data.csv.test_fraction", 0.2, "part of the rows held out for testing")
                 .above(0)
                 .at_most(0.9)}},
           make_csv},
          {{"npy", "NumPy arrays x_train, y_train, x_test and y_test.npy", "", {}}, make_npy},
      }};
  return table;
}

}  // namespace gossamer
