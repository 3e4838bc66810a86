#include "client/models/model_file.h"

#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "client/models/state_dict.h"
#include "core/error.h"

namespace gossamer {
namespace {

std::string reason() { return std::strerror(errno); }

class File {
 public:
  File(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool ok() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool write_all(int descriptor, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return ::fsync(descriptor) == 0;
}

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
  return text.str();
}

// The two element types that a model has, under the names that torch.save() gives them.
constexpr const char* kFloatStorage = "FloatStorage";
constexpr const char* kLongStorage = "LongStorage";

std::string storage_name(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return kFloatStorage;
  if (tensor.scalar_type() == at::kLong) return kLongStorage;
  throw std::logic_error(std::string("no model has tensors of ") + c10::toString(tensor.scalar_type()));
}

at::Tensor read_tensor(caffe2::serialize::PyTorchStreamReader& archive, const PickledTensor& entry) {
  if (entry.storage_type != kFloatStorage && entry.storage_type != kLongStorage) {
    throw std::runtime_error("is a " + entry.storage_type + "; a model has FloatStorage and LongStorage");
  }
  const at::ScalarType type = entry.storage_type == kFloatStorage ? at::kFloat : at::kLong;
  const auto [data, size] = archive.getRecord("data/" + entry.record);
  if (static_cast<std::uint64_t>(entry.storage_elements) != size / at::elementSize(type)) {
    throw std::runtime_error("has " + std::to_string(size) + " bytes for " +
                             std::to_string(entry.storage_elements) + " elements");
  }
  const at::Tensor storage = at::from_blob(data.get(), {entry.storage_elements}, type);
  return storage.as_strided(entry.sizes, entry.strides, entry.offset).clone(at::MemoryFormat::Contiguous);
}

const at::Tensor* find(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

}  // namespace

void replace_file(const std::string& path, const std::string& bytes) {
  const std::string temporary = path + ".part";
  {
    const File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.ok()) throw RunError(path + ": cannot be written: " + reason());
    if (!write_all(file.get(), bytes)) {
      const std::string why = reason();
      ::unlink(temporary.c_str());
      throw RunError(path + ": cannot be written: " + why);
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    throw RunError(path + ": cannot be written: " + why);
  }
}

std::string read_file(const std::string& path) {
  const File file(path, O_RDONLY);
  struct stat status {};
  if (!file.ok() || ::fstat(file.get(), &status) != 0)
    throw FileError(path + ": cannot be read: " + reason());
  if (!S_ISREG(status.st_mode)) throw FileError(path + ": is not a regular file");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw FileError(path + ": cannot be read: " + reason());
    if (n == 0) throw FileError(path + ": shrank while it was read");
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

void save_state_dict(const std::string& path, const NamedTensors& state) {
  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter archive([&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return size;
  });
  std::vector<PickledTensor> table;
  for (const auto& [name, tensor] : state) {
    const at::Tensor whole = tensor.detach().contiguous();
    PickledTensor entry{name, storage_name(whole), std::to_string(table.size()), whole.numel(),
                        0,    whole.sizes().vec(), whole.strides().vec()};
    archive.writeRecord("data/" + entry.record, whole.data_ptr(), whole.nbytes());
    table.push_back(std::move(entry));
  }
  const std::string pickle = pickle_state_dict(table);
  archive.writeRecord("data.pkl", pickle.data(), pickle.size());
  archive.writeEndOfFile();
  replace_file(path, bytes);
}

void load_state_dict(const std::string& path, const NamedTensors& state) {
  std::istringstream bytes(read_file(path));
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> archive;
  std::vector<PickledTensor> table;
  try {
    archive = std::make_unique<caffe2::serialize::PyTorchStreamReader>(&bytes);
    const auto [data, size] = archive->getRecord("data.pkl");
    table = unpickle_state_dict({static_cast<const std::byte*>(data.get()), size});
  } catch (const std::runtime_error& error) {
    throw FileError(path + ": " + error.what() + "; a state_dict as torch.save() writes it is accepted");
  } catch (const std::exception&) {
    throw FileError(path + ": is not a state_dict as torch.save() writes it, or is cut short");
  }
  NamedTensors found;
  for (const PickledTensor& entry : table) {
    try {
      found.emplace_back(entry.name, read_tensor(*archive, entry));
    } catch (const std::runtime_error& error) {
      throw FileError(path + ": tensor " + entry.name + " " + error.what());
    } catch (const std::exception&) {
      throw FileError(path + ": tensor " + entry.name + " is missing or cut short");
    }
  }
  copy_state(path, found, state);
}

void copy_state(const std::string& path, const NamedTensors& found, const NamedTensors& state) {
  for (const auto& [name, tensor] : state) {
    const at::Tensor* source = find(found, name);
    if (source == nullptr) throw FileError(path + ": has no tensor " + name + ", which the model has");
    if (source->sizes() != tensor.sizes() || source->scalar_type() != tensor.scalar_type()) {
      throw FileError(path + ": tensor " + name + " is " + shape_of(*source) + ", but the model's is " +
                      shape_of(tensor));
    }
  }
  for (const auto& [name, tensor] : found) {
    if (find(state, name) == nullptr)
      throw FileError(path + ": holds tensor " + name + ", which the model has not");
  }
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state) at::Tensor(tensor).copy_(*find(found, name));
}

}  // namespace gossamer
