#include "client/models/model_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <torch/serialize.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

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
  c10::Dict<std::string, at::Tensor> dictionary;
  for (const auto& [name, tensor] : state) {
    // A clone, since a view would be saved with the whole flat vector behind it.
    dictionary.insert(name, tensor.detach().clone());
  }
  const std::vector<char> bytes = torch::pickle_save(dictionary);
  replace_file(path, std::string(bytes.begin(), bytes.end()));
}

void load_state_dict(const std::string& path, const NamedTensors& state) {
  const std::string bytes = read_file(path);
  NamedTensors found;
  try {
    const c10::IValue value = torch::pickle_load(std::vector<char>(bytes.begin(), bytes.end()));
    for (const auto& item : value.toGenericDict()) {
      found.emplace_back(item.key().toStringRef(), item.value().toTensor());
    }
  } catch (const std::exception&) {
    throw FileError(path + ": is not a state_dict as torch.save() writes it");
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
