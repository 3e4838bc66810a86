#include "core/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

#include "core/error.h"
#include "core/files.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Counters {
  std::int64_t round = 0;
  double loss = 0;
};

CheckpointWriter make_writer() {
  static constexpr std::array kFloats{1.5F, -2.0F, 3.25F};
  static constexpr std::array<std::uint64_t, 2> kNumbers{7, 1U << 31U};
  CheckpointWriter writer;
  writer.add_floats("model", kFloats);
  writer.add_text("recorder", "{\"a\":1}");
  writer.add_pod("counters", Counters{12, 0.5});
  writer.add_array<std::uint64_t>("streams", kNumbers);
  writer.add_text("empty", "");
  return writer;
}

void write_text(const fs::path& path, const std::string& text) { write_atomically(path, text); }

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string as_text(const ByteBuffer& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Checkpoint, ComesBackAsItWas) {
  const TemporaryFolder folder;
  const fs::path path = checkpoint_path(folder / "checkpoint", 123);
  make_writer().commit(path);
  EXPECT_EQ(path.filename(), "round-000123.ckpt");
  EXPECT_FALSE(fs::exists(temporary_path(path)));
  const CheckpointReader reader(path);
  EXPECT_THAT(reader.names(), ElementsAre("counters", "empty", "model", "recorder", "streams"));
  EXPECT_THAT(reader.floats("model"), ElementsAre(1.5F, -2.0F, 3.25F));
  EXPECT_EQ(reader.text("recorder"), "{\"a\":1}");
  EXPECT_EQ(reader.pod<Counters>("counters").round, 12);
  EXPECT_EQ(reader.pod<Counters>("counters").loss, 0.5);
  EXPECT_THAT(reader.array<std::uint64_t>("streams"), ElementsAre(7, 1U << 31U));
  EXPECT_TRUE(reader.floats("empty").empty());
  EXPECT_TRUE(reader.has("empty"));
  EXPECT_FALSE(reader.has("optimizer"));
}

TEST(Checkpoint, FileAndMemoryAreTheSameBytes) {
  const TemporaryFolder folder;
  make_writer().commit(folder / "a.ckpt");
  EXPECT_EQ(read_text(folder / "a.ckpt"), as_text(make_writer().encode()));
}

TEST(Checkpoint, WrongSectionsAreNamed) {
  const ByteBuffer bytes = make_writer().encode();
  const CheckpointReader reader(bytes, "a.ckpt");
  EXPECT_THAT(message_of<FileError>([&] { reader.floats("optimizer"); }), HasSubstr("no section optimizer"));
  EXPECT_THAT(message_of<FileError>([&] { reader.floats("recorder"); }),
              HasSubstr("section recorder has 7 bytes, not a whole number of 4"));
  EXPECT_THAT(message_of<FileError>([&] { reader.pod<double>("model"); }),
              HasSubstr("section model has 12 bytes"));
}

TEST(Checkpoint, AStreamIsLikeDataThatIsThere) {
  const TemporaryFolder folder;
  const std::string data = "made in three pieces";
  const auto in_pieces = [&](const CheckpointWriter::Sink& sink) {
    for (const auto& [begin, end] : {std::pair(0, 7), std::pair(7, 7), std::pair(7, 20)})
      sink(bytes_of(data).subspan(begin, end - begin));
  };
  CheckpointWriter plain = make_writer(), streamed = make_writer();
  plain.add("stream", bytes_of(data));
  plain.add_text("last", "!");
  streamed.add_stream("stream", data.size(), in_pieces);
  streamed.add_text("last", "!");
  EXPECT_EQ(streamed.encode(), plain.encode());
  streamed.commit(folder / "a.ckpt");
  EXPECT_EQ(read_text(folder / "a.ckpt"), as_text(plain.encode()));
  EXPECT_EQ(CheckpointReader(folder / "a.ckpt").text("stream"), data);
}

TEST(Checkpoint, AStreamOfAnotherLengthIsAFaultOfTheProgram) {
  const TemporaryFolder folder;
  CheckpointWriter writer;
  writer.add_stream("a", 5, [](const CheckpointWriter::Sink& sink) { sink(bytes_of("four")); });
  EXPECT_THROW(writer.commit(folder / "a.ckpt"), std::logic_error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, AForgottenSectionIsReadAgain) {
  const TemporaryFolder folder;
  make_writer().commit(folder / "a.ckpt");
  const CheckpointReader reader(folder / "a.ckpt");
  EXPECT_THAT(reader.floats("model"), ElementsAre(1.5F, -2.0F, 3.25F));
  reader.forget("model");
  EXPECT_THAT(reader.floats("model"), ElementsAre(1.5F, -2.0F, 3.25F));
  EXPECT_THAT(message_of<FileError>([&] { reader.forget("none"); }), HasSubstr("no section none"));
}

TEST(Checkpoint, ANameTwiceIsAFaultOfTheProgram) {
  CheckpointWriter writer;
  writer.add_text("a", "1");
  EXPECT_THROW(writer.add_text("a", "2"), std::logic_error);
}

TEST(Checkpoint, TruncatedAnywhereIsRefused) {
  const std::string whole = as_text(make_writer().encode());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string part = whole.substr(0, length);
    EXPECT_THAT(message_of<FileError>([&] { CheckpointReader(bytes_of(part), "a.ckpt"); }),
                HasSubstr("a.ckpt, byte "))
        << length;
  }
  const std::string longer = whole + '\0';
  EXPECT_THAT(message_of<FileError>([&] { CheckpointReader(bytes_of(longer), "a.ckpt"); }),
              HasSubstr("should have"));
}

TEST(Checkpoint, AnyChangedBitIsRefused) {
  const std::string whole = as_text(make_writer().encode());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {0, 7}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_THROW(CheckpointReader(bytes_of(changed), "a.ckpt"), FileError)
          << "byte " << i << " bit " << bit;
    }
  }
}

TEST(Checkpoint, AnotherVersionIsNamed) {
  std::string changed = as_text(make_writer().encode());
  changed[8] = 9;
  EXPECT_THAT(message_of<FileError>([&] { CheckpointReader(bytes_of(changed), "a.ckpt"); }),
              HasSubstr("a.ckpt, byte 8: version 9; this program reads version 1"));
}

TEST(Checkpoint, AFullDiskKeepsTheEarlierOne) {
  const TemporaryFolder folder;
  const fs::path path = checkpoint_path(folder.path(), 1);
  make_writer().commit(path);
  const FloatBuffer large(5000, 1.0F);
  CheckpointWriter writer;
  writer.add_floats("model", large);
  std::string reason;
  {
    const FullDisk disk(4096);
    reason = message_of<RunError>([&] { writer.commit(path); });
  }
  EXPECT_EQ(reason, "cannot write " + path.string() + ": File too large");
  EXPECT_EQ(latest_checkpoint(folder.path()), 1);
  EXPECT_FALSE(fs::exists(temporary_path(path)));
}

TEST(LatestCheckpoint, IsTheNewestWhoseFilesAreAllValid) {
  const TemporaryFolder folder;
  EXPECT_EQ(latest_checkpoint(folder / "none"), std::nullopt);
  EXPECT_EQ(latest_checkpoint(folder.path()), std::nullopt);
  for (const Round round : {2, 10, 1234567}) make_writer().commit(checkpoint_path(folder.path(), round));
  EXPECT_EQ(latest_checkpoint(folder.path()), 1234567);
  write_text(checkpoint_path(folder.path(), 1234567), "GOSSCKPT, but not more");
  EXPECT_EQ(latest_checkpoint(folder.path()), 10);
  make_writer().commit(client_checkpoint_path(folder.path(), 10, "3"));
  EXPECT_EQ(latest_checkpoint(folder.path()), 10);
  write_text(client_checkpoint_path(folder.path(), 10, "4"), "");
  EXPECT_EQ(latest_checkpoint(folder.path()), 2);
}

TEST(LatestCheckpoint, CountsACoordinatorsFileOnly) {
  const TemporaryFolder folder;
  make_writer().commit(client_checkpoint_path(folder.path(), 10, "0"));
  write_text(temporary_path(checkpoint_path(folder.path(), 9)), "half");
  write_text(folder / "round-abc.ckpt", "");
  write_text(folder / "notes.txt", "");
  EXPECT_EQ(latest_checkpoint(folder.path()), std::nullopt);
  make_writer().commit(checkpoint_path(folder.path(), 5));
  EXPECT_EQ(latest_checkpoint(folder.path()), 5);
}

TEST(LatestCheckpoint, IsAFaultWhereNoneIsValid) {
  const TemporaryFolder folder;
  write_text(checkpoint_path(folder.path(), 3), "");
  write_text(checkpoint_path(folder.path(), 4), "");
  EXPECT_THAT(
      message_of<FileError>([&] { latest_checkpoint(folder.path()); }),
      HasSubstr("round-000004.ckpt, byte 0: the file ends inside its header; no other checkpoint is valid"));
}

TEST(PruneCheckpoints, DeletesOlderRoundsAndTheirLeftovers) {
  const TemporaryFolder folder;
  for (const Round round : {5, 10, 15}) {
    make_writer().commit(checkpoint_path(folder.path(), round));
    make_writer().commit(client_checkpoint_path(folder.path(), round, "1"));
    write_text(temporary_path(client_checkpoint_path(folder.path(), round, "2")), "half");
  }
  write_text(folder / "notes.txt", "");
  prune_checkpoints(folder.path(), 10);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(
                         "notes.txt", "round-000010.ckpt", "round-000010.clients-1.ckpt",
                         "round-000010.clients-2.ckpt.tmp", "round-000015.ckpt",
                         "round-000015.clients-1.ckpt", "round-000015.clients-2.ckpt.tmp"));
  prune_checkpoints(folder / "none", 10);
}

}  // namespace
}  // namespace gossamer
