#include "client/models/state_dict.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <variant>

namespace gossamer {
namespace {

// Opcodes of pickle protocol 2 (Python's pickletools.py describes each).
enum Opcode : unsigned char {
  kProto = 0x80,
  kStop = '.',
  kMark = '(',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinUnicode = 'X',
  kGlobal = 'c',
  kReduce = 'R',
  kBuild = 'b',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPersistentId = 'Q',
};

// Beyond these, a file was not written by torch.save(); they bound what a small file can make us allocate.
constexpr int kDeepest = 8;
constexpr std::size_t kMostDimensions = 64, kLongestName = 1024;

const std::string kRebuildTensor = "torch._utils _rebuild_tensor_v2";
const std::string kRebuildParameter = "torch._utils _rebuild_parameter";
const std::string kOrderedDict = "collections OrderedDict";

class Writer {
 public:
  void op(Opcode code) { bytes_ += static_cast<char>(code); }
  void integer(std::int64_t value) {
    op(kLong1);
    bytes_ += static_cast<char>(sizeof value);
    raw(&value, sizeof value);
  }
  void text(const std::string& value) {
    op(kBinUnicode);
    const auto size = static_cast<std::uint32_t>(value.size());
    raw(&size, sizeof size);
    bytes_ += value;
  }
  void global(std::string name) {
    op(kGlobal);
    name[name.find(' ')] = '\n';
    bytes_ += name + '\n';
  }
  void tuple(const std::vector<std::int64_t>& values) {
    op(kMark);
    for (std::int64_t value : values) integer(value);
    op(kTuple);
  }
  void byte(unsigned char value) { bytes_ += static_cast<char>(value); }
  std::string take() { return std::move(bytes_); }

 private:
  void raw(const void* data, std::size_t size) { bytes_.append(static_cast<const char*>(data), size); }
  std::string bytes_;
};

// What the stack holds. Anything that can grow is shared, so that copies out of the memo cost nothing, and a
// dictionary keeps tensors only, so that none can contain itself.
struct Value;
struct Mark {};
struct Nothing {};
using Text = std::shared_ptr<const std::string>;
struct Global {
  Text name;
};
struct Tuple {
  std::shared_ptr<const std::vector<Value>> items;
  int depth;
};
using Tensor = std::shared_ptr<const PickledTensor>;
struct Dictionary {
  std::shared_ptr<std::vector<std::pair<Text, Tensor>>> items;  // null for what is not a tensor
};
struct Storage {
  Text type, record;
  std::int64_t elements;
};
struct Value {
  std::variant<Nothing, Mark, std::int64_t, Text, Global, Tuple, Dictionary, Storage, Tensor> content;
};

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error(why); }

template <class T>
const T& as(const Value& value) {
  const T* content = std::get_if<T>(&value.content);
  if (content == nullptr) refuse("holds something else than named tensors");
  return *content;
}

std::vector<std::int64_t> integers(const Value& value) {
  const std::vector<Value>& items = *as<Tuple>(value).items;
  if (items.size() > kMostDimensions) refuse("holds a tensor of more than 64 dimensions");
  std::vector<std::int64_t> result;
  for (const Value& item : items) result.push_back(as<std::int64_t>(item));
  return result;
}

// Whether every element of the tensor lies inside its storage.
bool inside(const PickledTensor& tensor) {
  if (tensor.storage_elements < 0 || tensor.offset < 0 || tensor.sizes.size() != tensor.strides.size())
    return false;
  std::int64_t elements = 1, last = tensor.offset;
  bool empty = false;
  for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
    const std::int64_t size = tensor.sizes[i], stride = tensor.strides[i];
    if (size < 0 || stride < 0) return false;
    if (size == 0) empty = true;
    std::int64_t reach = 0;
    if (size > 0 &&
        (__builtin_mul_overflow(elements, size, &elements) ||
         __builtin_mul_overflow(size - 1, stride, &reach) || __builtin_add_overflow(last, reach, &last))) {
      return false;
    }
  }
  return empty || (elements <= tensor.storage_elements && last < tensor.storage_elements);
}

// A stack machine that knows the opcodes and the three functions that a state_dict needs.
class Unpickler {
 public:
  explicit Unpickler(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Value run() {
    for (;;) {
      const auto code = static_cast<Opcode>(fixed<unsigned char>());
      if (code == kStop) return pop();
      step(code);
    }
  }

 private:
  void step(Opcode code) {
    switch (code) {
      case kProto:
        if (fixed<unsigned char>() > 5) refuse("is pickled in an unknown protocol");
        break;
      case kMark:
        stack_.push_back({Mark{}});
        break;
      case kNone:
        stack_.push_back({Nothing{}});
        break;
      case kNewTrue:
      case kNewFalse:
        stack_.push_back({std::int64_t{code == kNewTrue}});
        break;
      case kBinInt:
        stack_.push_back({std::int64_t{fixed<std::int32_t>()}});
        break;
      case kBinInt1:
        stack_.push_back({std::int64_t{fixed<std::uint8_t>()}});
        break;
      case kBinInt2:
        stack_.push_back({std::int64_t{fixed<std::uint16_t>()}});
        break;
      case kLong1:
        stack_.push_back({long_integer()});
        break;
      case kBinUnicode:
        stack_.push_back({name(text(fixed<std::uint32_t>()))});
        break;
      case kGlobal: {
        const std::string module = line();
        stack_.push_back({Global{name(module + ' ' + line())}});
        break;
      }
      case kReduce: {
        const Value arguments = pop();
        const Value function = pop();
        stack_.push_back(call(*as<Global>(function).name, *as<Tuple>(arguments).items));
        break;
      }
      case kBuild:  // an OrderedDict's attributes, such as _metadata
        pop();
        as<Dictionary>(top());
        break;
      case kEmptyDict:
        stack_.push_back(dictionary());
        break;
      case kEmptyTuple:
        push_tuple(0);
        break;
      case kTuple1:
        push_tuple(1);
        break;
      case kTuple2:
        push_tuple(2);
        break;
      case kTuple3:
        push_tuple(3);
        break;
      case kTuple:
        stack_.push_back(tuple(pop_to_mark()));
        break;
      case kSetItem: {
        const Value value = pop();
        const Value key = pop();
        set_item(as<Dictionary>(top()), key, value);
        break;
      }
      case kSetItems: {
        const std::vector<Value> items = pop_to_mark();
        if (items.size() % 2 != 0) refuse("is not a valid pickle");
        for (std::size_t i = 0; i < items.size(); i += 2)
          set_item(as<Dictionary>(top()), items[i], items[i + 1]);
        break;
      }
      case kBinPut:
        memo_[fixed<std::uint8_t>()] = top();
        break;
      case kLongBinPut:
        memo_[fixed<std::uint32_t>()] = top();
        break;
      case kBinGet:
        stack_.push_back(remembered(fixed<std::uint8_t>()));
        break;
      case kLongBinGet:
        stack_.push_back(remembered(fixed<std::uint32_t>()));
        break;
      case kBinPersistentId:
        stack_.push_back(storage_of(pop()));
        break;
      default:
        refuse("holds something else than named tensors");
    }
  }

  template <class T>
  T fixed() {
    T value;
    if (bytes_.size() - at_ < sizeof value) refuse("ends within its table of tensors");
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text(std::size_t size) {
    if (bytes_.size() - at_ < size) refuse("ends within its table of tensors");
    std::string value(reinterpret_cast<const char*>(bytes_.data() + at_), size);
    at_ += size;
    return value;
  }
  std::string line() {
    std::size_t end = at_;
    while (end < bytes_.size() && bytes_[end] != std::byte{'\n'}) ++end;
    if (end == bytes_.size()) refuse("ends within its table of tensors");
    std::string value = text(end - at_);
    ++at_;
    return value;
  }
  static Text name(std::string value) {
    if (value.size() > kLongestName) refuse("holds a name of more than 1024 characters");
    return std::make_shared<const std::string>(std::move(value));
  }
  std::int64_t long_integer() {
    const std::string digits = text(fixed<std::uint8_t>());
    if (digits.size() > sizeof(std::int64_t)) refuse("holds a number beyond 64 bits");
    std::uint64_t value =
        !digits.empty() && static_cast<signed char>(digits.back()) < 0 ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, digits.data(), digits.size());
    return static_cast<std::int64_t>(value);
  }

  const Value& top() const {
    if (stack_.empty()) refuse("is not a valid pickle");
    return stack_.back();
  }
  Value pop() {
    Value value = top();
    stack_.pop_back();
    return value;
  }
  std::vector<Value> pop_to_mark() {
    std::size_t begin = stack_.size();
    while (begin > 0 && !std::holds_alternative<Mark>(stack_[begin - 1].content)) --begin;
    if (begin == 0) refuse("is not a valid pickle");
    std::vector<Value> items(std::make_move_iterator(stack_.begin() + static_cast<std::ptrdiff_t>(begin)),
                             std::make_move_iterator(stack_.end()));
    stack_.resize(begin - 1);
    return items;
  }
  void push_tuple(std::size_t size) {
    if (stack_.size() < size) refuse("is not a valid pickle");
    std::vector<Value> items(stack_.end() - static_cast<std::ptrdiff_t>(size), stack_.end());
    stack_.resize(stack_.size() - size);
    stack_.push_back(tuple(std::move(items)));
  }
  static Value tuple(std::vector<Value> items) {
    int depth = 1;
    for (const Value& item : items) {
      if (const Tuple* inner = std::get_if<Tuple>(&item.content)) depth = std::max(depth, inner->depth + 1);
    }
    if (depth > kDeepest) refuse("nests tuples as no state_dict does");
    return {Tuple{std::make_shared<const std::vector<Value>>(std::move(items)), depth}};
  }
  const Value& remembered(std::uint32_t index) const {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("is not a valid pickle");
    return found->second;
  }
  static Value dictionary() { return {Dictionary{std::make_shared<std::vector<std::pair<Text, Tensor>>>()}}; }
  static void set_item(const Dictionary& target, const Value& key, const Value& value) {
    const Tensor* tensor = std::get_if<Tensor>(&value.content);
    target.items->emplace_back(as<Text>(key), tensor == nullptr ? nullptr : *tensor);
  }

  // ("storage", type, record, device, elements)
  static Value storage_of(const Value& id) {
    const std::vector<Value>& items = *as<Tuple>(id).items;
    if (items.size() != 5 || *as<Text>(items[0]) != "storage") refuse("holds a storage of an unknown form");
    return {Storage{as<Global>(items[1]).name, as<Text>(items[2]), as<std::int64_t>(items[4])}};
  }

  static Value call(const std::string& function, const std::vector<Value>& arguments) {
    if (function == kOrderedDict && arguments.empty()) return dictionary();
    if (function == kRebuildParameter && !arguments.empty()) return {as<Tensor>(arguments[0])};
    if (function == kRebuildTensor && arguments.size() >= 4) {
      const Storage& storage = as<Storage>(arguments[0]);
      PickledTensor tensor{{},
                           storage.type->substr(storage.type->find(' ') + 1),
                           *storage.record,
                           storage.elements,
                           as<std::int64_t>(arguments[1]),
                           integers(arguments[2]),
                           integers(arguments[3])};
      if (!inside(tensor)) refuse("holds a tensor that lies outside of its storage");
      return {std::make_shared<const PickledTensor>(std::move(tensor))};
    }
    refuse("asks for a call of " + function + ", which no state_dict needs");
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::vector<Value> stack_;
  std::map<std::uint32_t, Value> memo_;
};

}  // namespace

std::string pickle_state_dict(const std::vector<PickledTensor>& tensors) {
  Writer out;
  out.op(kProto);
  out.byte(2);
  out.op(kEmptyDict);
  out.op(kMark);
  for (const PickledTensor& tensor : tensors) {
    out.text(tensor.name);
    out.global(kRebuildTensor);
    out.op(kMark);
    {
      out.op(kMark);
      out.text("storage");
      out.global("torch " + tensor.storage_type);
      out.text(tensor.record);
      out.text("cpu");
      out.integer(tensor.storage_elements);
      out.op(kTuple);
      out.op(kBinPersistentId);
    }
    out.integer(tensor.offset);
    out.tuple(tensor.sizes);
    out.tuple(tensor.strides);
    out.op(kNewFalse);         // requires_grad
    out.global(kOrderedDict);  // hooks: none
    out.op(kEmptyTuple);
    out.op(kReduce);
    out.op(kTuple);
    out.op(kReduce);
  }
  out.op(kSetItems);
  out.op(kStop);
  return out.take();
}

std::vector<PickledTensor> unpickle_state_dict(std::span<const std::byte> pickle) {
  const Value value = Unpickler(pickle).run();
  std::vector<PickledTensor> tensors;
  for (const auto& [name, tensor] : *as<Dictionary>(value).items) {
    if (tensor == nullptr) refuse("holds " + *name + ", which is not a tensor");
    tensors.push_back(*tensor);
    tensors.back().name = *name;
  }
  return tensors;
}

}  // namespace gossamer
