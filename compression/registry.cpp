#include <algorithm>

#include "compression/methods.h"
#include "compression/model_codec.h"
#include "compression/shrunk.h"
#include "core/error.h"

namespace gossamer {
namespace {

using Entry = CompressorRegistry::Entry;

// Whether a method has a memory put around it, if the configuration does not say; whether it is nothing
// without; or whether it has one like it already.
enum class Memory { on_demand, by_default, required, own };

struct MethodEntry {
  MethodInfo info;
  std::unique_ptr<Method> (*make)(const Options&, std::span<const std::int64_t> shape);
  Memory feedback;                      // of what it leaves out
  bool fits_models = false;             // whole ones: numbers of any size, and no memory
  Memory momentum = Memory::on_demand;  // of what is waiting to be sent
  bool spreads = false;                 // its error may be larger than the vector
};

bool has_around(const Options& options, const MethodEntry& entry, const char* key, Memory memory) {
  const std::string& choice = options.text(key);
  if (choice == "off" && (memory == Memory::required || memory == Memory::own))
    throw ConfigError(std::string(key) + " = off: it is a part of compression.up = " + entry.info.name);
  if (memory == Memory::own) return false;
  return choice == "on" || memory == Memory::required || (choice == "auto" && memory == Memory::by_default);
}

MomentumSettings momentum_settings(const Options& options) {
  const std::string& masking = options.text("compression.factor_masking");
  return {.factor = static_cast<float>(options.real("compression.momentum")),
          .nesterov = options.flag("compression.nesterov"),
          .masking = masking == "on"    ? Masking::always
                     : masking == "off" ? Masking::never
                                        : Masking::unless_all_is_sent,
          .clip = static_cast<float>(options.real("compression.local_clip"))};
}

// Of a method that only counts the values.
template <std::unique_ptr<Method> (*make)(const Options&)>
std::unique_ptr<Method> any_shape(const Options& options, std::span<const std::int64_t>) {
  return make(options);
}

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> table{
      {{"fp16", "16-bit floats (IEEE 754 binary16)", "", {}}, any_shape<make_fp16>, Memory::on_demand, true},
      {{"bf16", "16-bit floats with the range of 32-bit ones", "", {}},
       any_shape<make_bf16>,
       Memory::on_demand,
       true},
      {{"int8",
        "8-bit integers, in steps of each block's largest magnitude",
        "",
        {text_option("compression.int8.rounding", "nearest", "of a value between two steps")
             .one_of({"nearest", "stochastic"})}},
       any_shape<make_int8>,
       Memory::on_demand,
       true},
      {{"one_bit",
        "signs, and of each block the mean of either side",
        "Seide, Fu, Droppo, Li, Yu: 1-bit stochastic gradient descent, 2014",
        {integer_option("compression.one_bit.block", 8192,
                        "values that share their means; a multiple of 16 is best")
             .at_least(16)}},
       any_shape<make_one_bit>,
       Memory::by_default},
      {{"terngrad",
        "each tensor's largest magnitude, with either sign, or zero, at random",
        "Wen, Xu, Yan, Wu, Wang, Chen, Li: TernGrad, 2017",
        {real_option("compression.terngrad.clip", 2.5,
                     "standard deviations beyond which values are clipped; 0: none are")
             .at_least(0)}},
       any_shape<make_terngrad>,
       Memory::on_demand,
       false,
       Memory::on_demand,
       true},
      {{"qsgd",
        "levels of each bucket's norm, at random",
        "Alistarh, Grubic, Li, Tomioka, Vojnovic: QSGD, 2017",
        {text_option("compression.qsgd.bits", "4", "a value").one_of({"2", "4", "8"}),
         text_option("compression.qsgd.norm", "max", "of a bucket of 512 values").one_of({"max", "l2"})}},
       any_shape<make_qsgd>,
       Memory::on_demand,
       false,
       Memory::on_demand,
       true},
      {{"top_k",
        "the largest of each tensor",
        "Aji, Heafield: Sparse communication for distributed gradient descent, 2017",
        {real_option("compression.top_k.density", 0.01, "share of the values that is sent")
             .above(0)
             .at_most(1)}},
       any_shape<make_top_k>,
       Memory::by_default},
      {{"dgc",
        "the largest of each tensor, with momentum correction",
        "Lin, Han, Mao, Wang, Dally: Deep gradient compression, 2018",
        {real_option("compression.dgc.density", 0.001, "share of the values that is sent after the warm-up")
             .above(0)
             .at_most(1),
         integer_option("compression.dgc.warmup_rounds", 4,
                        "rounds over which that share falls, from 25%, each step to a quarter")
             .at_least(0)
             .at_most(1e9)}},
       any_shape<make_dgc>,
       Memory::required,
       false,
       Memory::by_default},
      {{"random_k",
        "values wherever a seed says, which travels instead of their indices",
        "Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: Strategies for improving communication efficiency, "
        "2016",
        {real_option("compression.random_k.density", 0.1, "share of the values that is sent")
             .above(0)
             .at_most(1)}},
       any_shape<make_random_k>,
       Memory::on_demand},
      {{"threshold",
        "tau, with the sign of the value, where it is at least that far from zero",
        "Strom: Scalable distributed DNN training using commodity GPU cloud computing, 2015",
        {real_option("compression.threshold.tau", 0.01, "what is sent").above(0).at_most(1e30)}},
       any_shape<make_threshold>,
       Memory::by_default},
      {{"wangni",
        "each value at random, the larger the likelier, with the least variance",
        "Wangni, Wang, Liu, Zhang: Gradient sparsification for communication-efficient distributed "
        "optimization, 2018",
        {real_option("compression.wangni.density", 0.1, "share of the values that is sent on average")
             .above(0)
             .at_most(1)}},
       any_shape<make_wangni>,
       Memory::on_demand},
      {{"adacomp",
        "the largest of each tensor, divided by the number of messages that they have waited",
        "Hardy, Le Merrer, Sericola: Distributed deep learning on edge-devices: feasibility via adaptive "
        "compression, 2017",
        {real_option("compression.adacomp.density", 0.01, "share of the values that is sent")
             .above(0)
             .at_most(1),
         flag_option("compression.adacomp.staleness", true, "whether they are divided")}},
       any_shape<make_adacomp>,
       Memory::own},
      {{"esgd",
        "values of each tensor at places that stay while the loss falls",
        "Tao, Li: eSGD: communication efficient distributed deep learning on the edge, 2018",
        {real_option("compression.esgd.density", 0.25, "share of the values that is sent")
             .above(0)
             .at_most(1),
         real_option("compression.esgd.momentum", 0.9,
                     "what is left of a value in the next message, where it was not sent")
             .at_least(0)
             .at_most(1)}},
       any_shape<make_esgd>,
       Memory::own},
      {{"powersgd",
        "two factors of each tensor as a matrix, by a step of subspace iteration",
        "Vogels, Karimireddy, Jaggi: PowerSGD, 2019",
        {integer_option("compression.powersgd.rank", 4, "columns of either factor")
             .at_least(1)
             .at_most(256)}},
       make_powersgd,
       Memory::by_default},
      {{"low_rank",
        "each tensor as a matrix times a random one, of which only the seed travels",
        "Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: Strategies for improving communication efficiency, "
        "2016",
        {integer_option("compression.low_rank.rank", 4, "rows of the factor that travels")
             .at_least(1)
             .at_most(256)}},
       make_low_rank,
       Memory::by_default},
      {{"random_mask",
        "the vector restricted to a random mask, of which only the seed travels",
        "Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: Strategies for improving communication efficiency, "
        "2016",
        {real_option("compression.random_mask.density", 0.1, "share of the values that is sent")
             .above(0)
             .at_most(1)}},
       any_shape<make_random_mask>,
       Memory::on_demand},
      {{"sketched",
        "a share of the values, rotated at random, in a few levels of each block's range, at random",
        "Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: Strategies for improving communication efficiency, "
        "2016",
        {text_option("compression.sketched.bits", "2", "a value").one_of({"1", "2", "4", "8"}),
         real_option("compression.sketched.density", 1, "share of the values that is sent")
             .above(0)
             .at_most(1),
         flag_option("compression.sketched.rotation", true, "whether blocks are rotated")}},
       any_shape<make_sketched>,
       Memory::on_demand},
      {{"bounded_error",
        "0, 8, 16 or 32 bits a value: as many as an absolute bound on the error takes",
        "Li et al.: INCEPTIONN, 2018",
        {real_option("compression.bounded_error.bound", 0x1p-10, "on the error of each value")
             .at_least(1e-25)
             .at_most(1e25)}},
       any_shape<make_bounded_error>,
       Memory::on_demand},
  };
  return table;
}

const MethodEntry* find_method(const std::string& name) {
  const auto found =
      std::ranges::find(methods(), name, [](const MethodEntry& entry) { return entry.info.name; });
  return found == methods().end() ? nullptr : &*found;
}

std::optional<MomentumSettings> momentum_of(const MethodEntry& entry, const Options& options) {
  if (!has_around(options, entry, "compression.momentum_correction", entry.momentum)) return std::nullopt;
  return momentum_settings(options);
}

Memories memories_of(const MethodEntry& entry, const Options& options) {
  return {has_around(options, entry, "compression.error_feedback", entry.feedback),
          momentum_of(entry, options)};
}

std::unique_ptr<Method> make_with_memory(const MethodEntry& entry, const Options& options,
                                         std::span<const std::int64_t> shape) {
  return with_memories(entry.make(options, shape), memories_of(entry, options));
}

std::unique_ptr<Compressor> make_up(const MethodEntry& method, const Options& options,
                                    const ParameterLayout& layout) {
  using Shape = std::span<const std::int64_t>;
  // What travels as it is has the same momentum as the rest.
  return make_pieces(
      options, layout, [&](Shape shape) { return make_with_memory(method, options, shape); },
      [&](Shape) {
        return with_memories(make_dense(), {false, momentum_of(method, options)});
      });
}

// Of whole models; or of differences. What was left out of one is in the next, without a residual; but as
// with one, what is left out must not be larger than what there was.
std::unique_ptr<Compressor> make_down(const MethodEntry& method, const Options& options,
                                      const ParameterLayout& layout) {
  using Shape = std::span<const std::int64_t>;
  check_down_form(options);
  const bool differs = sends_differences(options);
  Options own = options;
  if (differs) own.set("compression.error_feedback", "on");
  return make_pieces(
      own, layout,
      [&](Shape shape) {
        auto made = method.make(own, shape);
        return differs && method.spreads ? make_shrunk(std::move(made)) : std::move(made);
      },
      [](Shape) { return make_dense(); });
}

using Make = std::unique_ptr<Compressor> (*)(const MethodEntry&, const Options&, const ParameterLayout&);

std::vector<Entry> entries_by(Make make) {
  std::vector<Entry> entries{
      {{"none", "32-bit floats as they are", "", {}},
       [](const Options&, const ParameterLayout& layout) { return make_no_compressor(layout.size()); }}};
  for (const MethodEntry& method : methods()) {
    entries.push_back({method.info, [&method, make](const Options& options, const ParameterLayout& layout) {
                         return make(method, options, layout);
                       }});
  }
  return entries;
}

std::vector<Entry> up_entries() {
  std::vector<Entry> entries = entries_by(make_up);
  entries.push_back(
      {{"auto",
        "what rounds show to be fastest: none, fp16, int8, qsgd, one_bit, or top_k of 1% or 0.1%",
        "",
        {integer_option("compression.auto.rounds", 5, "that a method is tried for").at_least(1).at_most(16),
         real_option("compression.auto.drag", 0.07,
                     "of the rounds of training, the part that is taken to grow as 1 over the share of its "
                     "squared length that an update delivers")
             .at_least(0)
             .at_most(1)}},
       make_choice});
  return entries;
}

std::string whole_model_methods() {
  std::string names = "none";
  for (const MethodEntry& method : methods()) {
    if (method.fits_models) names += ", " + method.info.name;
  }
  return names;
}

}  // namespace

bool sends_differences(const Options& options) {
  const MethodEntry* const found = find_method(options.text("compression.down"));
  const std::string& form = options.text("compression.down_form");
  return found != nullptr && (form == "difference" || (form == "auto" && !found->fits_models));
}

void check_down_form(const Options& options) {
  const MethodEntry* const found = find_method(options.text("compression.down"));
  const std::string& form = options.text("compression.down_form");
  if (found == nullptr) {
    if (form == "difference")
      throw ConfigError(
          "compression.down_form = difference: compression.down = none sends models as they are; choose a "
          "method");
    return;
  }
  const std::string chosen = "compression.down = " + found->info.name;
  if (form == "model" && !found->fits_models)
    throw ConfigError("compression.down_form = model: " + chosen +
                      " is for differences; whole models travel with " + whole_model_methods());
  if (sends_differences(options) && found->feedback == Memory::own)
    throw ConfigError(chosen +
                      ": keeps what it leaves out in its own way, and a difference between models has it "
                      "already; use top_k");
}

const CompressorRegistry& up_compressors() {
  static const CompressorRegistry table{"compressors", "compression.up", "none", "how updates travel",
                                        up_entries()};
  return table;
}

const CompressorRegistry& down_compressors() {
  static const CompressorRegistry table{"compressors", "compression.down", "none", "how models travel",
                                        entries_by(make_down)};
  return table;
}

bool keeps_state(const Options& options) {
  if (options.text("compression.up") == "auto") return true;
  const MethodEntry* const found = find_method(options.text("compression.up"));
  // Of a matrix that is large enough for any method to do its work.
  constexpr std::int64_t kShape[] = {1 << 12, 1 << 12};
  return found != nullptr &&
         make_with_memory(*found, options, kShape)->state_floats(kShape[0] * kShape[1]) > 0;
}

std::unique_ptr<Method> make_up_method(const Options& options, std::span<const std::int64_t> shape) {
  return find_method(options.text("compression.up"))->make(options, shape);
}

Memories memories_of(const std::string& method, const Options& options) {
  return memories_of(*find_method(method), options);
}

std::unique_ptr<Method> with_memories(std::unique_ptr<Method> method, const Memories& memories) {
  if (memories.residual) method = make_error_feedback(std::move(method));
  return memories.momentum ? make_momentum_correction(std::move(method), *memories.momentum)
                           : std::move(method);
}

void add_compression_options(OptionSchema& schema) {
  add_methods(schema, up_compressors().describe());
  add_methods(schema, down_compressors().describe());
  schema.add(
      text_option("compression.down_form", "auto",
                  "whether compression.down encodes each model as a whole, or its difference to what "
                  "those hold who have the model before (sync.mode = bsp; others get it as it is; with "
                  "topology.name = gossip to a copy that its neighbours hold: CHOCO-SGD); "
                  "auto: model with fp16, bf16 and int8, difference with the other methods")
          .one_of({"auto", "model", "difference"}));
  schema.add(
      text_option("compression.skip", "",
                  "tensors that travel as they are: names, or beginnings of them up to a dot, separated "
                  "by commas"));
  schema.add(
      integer_option("compression.min_size", 256, "tensors of fewer floats travel as they are").at_least(0));
  schema.add(
      text_option(
          "compression.all_reduce", "auto",
          "with topology.name = ring, grouped_ring or all_to_all: each peer's update compressed once and "
          "passed to all (gather), or sums of chunks compressed again at every hop of the ring "
          "(reduce_scatter); auto: which of these sends fewer bytes; with compression.up = terngrad also "
          "exact "
          "sums of ternary numbers in units that all have agreed on (shared_scaler)")
          .one_of({"auto", "gather", "reduce_scatter", "shared_scaler"}));
  schema.add(
      text_option("compression.error_feedback", "auto",
                  "whether what an update leaves out is added to the client's next one; auto: with the "
                  "methods that were made for it: one_bit, top_k, threshold, powersgd and low_rank; dgc is "
                  "nothing without, and adacomp and esgd have their own: these refuse off")
          .one_of({"auto", "on", "off"}));
  schema.add(text_option("compression.momentum_correction", "auto",
                         "whether an update is given to the method as the velocity of the client's updates, "
                         "instead of momentum behind it; auto: with dgc")
                 .one_of({"auto", "on", "off"}));
  schema.add(real_option("compression.momentum", 0.9, "of momentum correction").at_least(0).at_most(1));
  schema.add(flag_option("compression.nesterov", false, "momentum correction in Nesterov's form"));
  schema.add(text_option("compression.factor_masking", "auto",
                         "whether momentum correction forgets the velocity of what has been sent; auto: "
                         "unless nothing is left out")
                 .one_of({"auto", "on", "off"}));
  schema.add(real_option("compression.local_clip", 0,
                         "of momentum correction: Euclidean norm to which a tensor (where the method does "
                         "not take tensors one by one, all of them) is scaled down before it is accumulated; "
                         "0: none is")
                 .at_least(0));
}

std::vector<std::unique_ptr<Compressor>> one_a_shard(const CompressorRegistry& registry,
                                                     const Options& options, const ShardPlan& plan) {
  std::vector<std::unique_ptr<Compressor>> compressors;
  for (std::size_t s = 0; s < plan.shards(); ++s)
    compressors.push_back(registry.make(options, plan.layout(s)));
  return compressors;
}

CompressedUpdate compress(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                          PrivateUpdate update, std::span<float> state, Rng& rng, std::size_t method,
                          DeviceEncoder* encoder) {
  if (encoder == nullptr) update.bring_to_host();
  const SharedFloats values = SharedFloats::of(std::move(update.values));
  const MessageContext context{update.info.round, update.info.train_loss, method};
  const auto range = [&](std::size_t shard) {
    const std::size_t own = compressors[shard]->state_floats();
    const auto part = state.first(own);
    state = state.subspan(own);
    if (update.on_device) {
      const auto [begin, size] = plan.range(shard);
      return compressors[shard]->compress(DevicePart{*update.on_device, begin, size}, *encoder, part, context,
                                          rng);
    }
    return compressors[shard]->compress({values.owner, plan.part(values.values, shard)}, part, context, rng);
  };
  CompressedUpdate compressed{update.info, range(0), {}};
  for (std::size_t s = 1; s < plan.shards(); ++s) compressed.more.push_back(range(s));
  return compressed;
}

}  // namespace gossamer
