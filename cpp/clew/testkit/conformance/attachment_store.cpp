#include <filesystem>
#include <fstream>

#include "clew/base/fault.hpp"
#include "clew/session/head.hpp"
#include "clew/testkit/conformance/content_stores.hpp"
#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

namespace {

const AttachmentMeta pixel{"image/png", 7, 11, "pixel"};
constexpr std::size_t large = 300'000;  // more than a part

// Does something once at a fault point.
class Once {
 public:
  Once(std::string_view name, Function<Status()> action) : point_(find_fault_point(name)) {
    expect(point_ != nullptr, "there is such a fault point", name);
    point_->arm([done = false, action = std::move(action)]() mutable -> Status {
      if (std::exchange(done, true)) return {};
      return action();
    });
  }
  ~Once() { point_->disarm(); }
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

 private:
  FaultPoint* point_;
};

int files_in(const std::string& folder) {
  int count = 0;
  std::error_code ignored;
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder, ignored)) {
    count += each.is_regular_file() ? 1 : 0;
  }
  return count;
}

}  // namespace

void attachment_put_get_round_trips_bytes_and_meta(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  const std::string bytes("\x89PN\0G", 5);
  const auto ref = must(store.put("root", bytes, pixel), "put");
  const auto found = must(store.get("root", ref.id), "get");
  expect_equal(found.bytes, bytes, "the bytes are equal");
  expect(found.ref == ref, "and what is said of them");
  expect_equal(ref.byte_len, 5, "their length");
  expect(ref.meta == pixel, "type, width, height and label");
  expect_equal(ref.id, to_hex(sha256(bytes)), "the id is that of the bytes");
}

void attachment_is_content_addressed(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  const auto a = must(store.put("root", "A", pixel), "put A");
  auto other = pixel;
  other.label = "another";
  const auto again = must(store.put("root", "A", other), "put A again");
  const auto b = must(store.put("root", "B", pixel), "put B");
  expect_equal(a.id, again.id, "equal bytes have equal ids");
  expect(a.id != b.id, "other bytes another");
  expect_equal(again.meta.label, "pixel", "the first says what they are");
  expect_equal(must(store.list("root"), "list").size(), 2U, "two are listed");
}

void attachment_get_unknown_is_not_found(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  expect_refused(store.get("root", "sha256:does-not-exist"), Code::not_found, "no such id");
  must(store.record_intent({"wanted", "root", "uri", {5}}), "intend only");
  expect_refused(store.get("root", "wanted"), Code::not_found, "an intent is no attachment");
  const auto ref = must(store.put("root", "A", pixel), "put");
  expect_refused(store.get("other", ref.id), Code::not_found, "another session has it not");
  expect_refused(store.stat("other", ref.id), Code::not_found, "nor knows of it");
}

void attachment_reports_declared_persistence(const Factory& fresh) {
  World world(fresh);
  expect_equal(!world.database->is_memory(), world.storage.is_durable,
               "attachments are as durable as their database");
}

void attachment_store_survives_reopen(const Factory& fresh) {
  World world(fresh);
  const auto ref = must(world.attachments().put("root", "kept", pixel), "put");
  const auto big = must(world.attachments().put("root", std::string(large, 'x'), pixel), "put");
  const auto second = world.open();
  auto again = world.attachments(*second);
  const auto found = must(again.get("root", ref.id), "get");
  expect_equal(found.bytes, "kept", "the bytes");
  expect_equal(found.ref.byte_len, 4, "their length");
  expect_equal(found.ref.id, ref.id, "their id");
  expect_equal(must(again.get("root", big.id), "get").bytes.size(), large, "large ones too");
}

void attachment_intent_comes_first(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  for (const auto& bytes : {std::string("small"), std::string(large, 'x')}) {
    const Once failing("attachment.intent.after",
                       []() -> Status { return error(Code::unavailable, "on purpose"); });
    expect_refused(store.put("root", bytes, pixel), Code::unavailable, "a put that dies midway");
    const auto open = must(store.list_uncommitted(world.now()), "list");
    expect_equal(open.size(), 1U, "its intent is there");
    const auto& id = open[0].intent.attachment_id;
    expect_equal(id, to_hex(sha256(bytes)), "by the id of the bytes");
    expect_refused(store.get("root", id), Code::not_found, "and no bytes");
    must(store.put("root", bytes, pixel), "once more");
    expect_equal(must(store.get("root", id), "get").bytes.size(), bytes.size(), "now they are");
    must(store.forget("root", id), "forget");
  }
  must(in_write(*world.database,
                [&](store::Transaction& tx) -> Status {
                  CLEW_TRY(lock_head(tx, "gone"));
                  return mark_deleted(tx, "gone", world.now());
                }),
       "delete a session");
  expect_no_trace<AttachmentRef>(
      world, [&] { return store.put("gone", "bytes", pixel); }, Code::conflict,
      "an intent that is refused writes nothing");
}

void attachment_of_any_size_streams(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  for (const std::size_t size : {0U, 1U, 64U, 65U, 262'144U, 262'145U, 1'000'000U}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 7 + size);
    auto writer = must(store.writer("root", pixel), "write");
    for (std::size_t from = 0; from < size; from += 100'001) {
      must(writer->append(std::string_view(bytes).substr(from, 100'001)), "append");
    }
    const auto ref = must(writer->finish(), "finish");
    expect_equal(ref.byte_len, static_cast<std::int64_t>(size), "the length");
    auto reader = must(store.reader("root", ref.id), "read");
    std::string found;
    for (;;) {
      const auto part = must(reader->next(), "next");
      if (part.empty()) break;
      expect(part.size() <= store::blob_part_size, "no part is large");
      found += part;
    }
    expect(found == bytes, "the bytes are equal");
  }
}

void attachment_damage_is_corrupt(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  const auto small = must(store.put("root", "small", pixel), "put");
  const auto big = must(store.put("root", std::string(large, 'x'), pixel), "put");
  const auto name = world.storage.folder + "/" + big.id.substr(0, 2) + "/" + big.id.substr(2);
  expect(std::filesystem::exists(name), "a large one is a file");
  std::ofstream(name, std::ios::app) << "more";
  const auto refused = expect_refused(store.get("root", big.id), Code::corrupt, "other bytes");
  expect_equal(told(refused, "attachment_id").as_string(), big.id, "it names the attachment");
  std::filesystem::remove(name);
  expect_refused(store.get("root", big.id), Code::corrupt, "no bytes");
  must(store.put("root", std::string(large, 'x'), pixel), "putting it again");
  expect_equal(must(store.get("root", big.id), "get").bytes.size(), large, "mends it");
  must(in_write(*world.database,
                [](store::Transaction& tx) -> Status {
                  CLEW_TRY(tx.run_text("DELETE FROM blobs", {}));
                  return {};
                }),
       "lose the blobs");
  expect_refused(store.get("root", small.id), Code::corrupt, "a small one without bytes");
}

void attachment_files_stay_while_anyone_needs_them(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  const std::string bytes(large, 'x');
  const auto ref = must(store.put("a", bytes, pixel), "put for a");
  must(store.put("b", bytes, pixel), "put for b");
  expect_equal(files_in(world.storage.folder), 1, "one file for both");
  must(store.forget("a", ref.id), "a forgets");
  world.advance(std::chrono::hours(1));
  expect_equal(must(store.sweep(world.now()), "sweep").deleted_files, 0, "b needs it");
  expect_equal(must(store.get("b", ref.id), "get").bytes.size(), large, "b has it");
  must(store.forget("b", ref.id), "b forgets");
  auto reader = must(store.put("c", bytes, pixel), "c needs it now");
  expect_equal(must(store.sweep(world.now()), "sweep").deleted_files, 0, "so it stays");
  must(store.forget("c", ref.id), "c forgets");
  expect_equal(must(store.sweep(world.now()), "sweep").deleted_files, 0, "too young");
  world.advance(Duration(1));
  {
    const Once failing("attachment.sweep.marked",
                       []() -> Status { return error(Code::unavailable, "on purpose"); });
    expect_refused(store.sweep(world.now()), Code::unavailable, "a sweep that dies midway");
  }
  expect_equal(files_in(world.storage.folder), 1, "it has removed nothing yet");
  expect_equal(must(store.sweep(world.now()), "sweep").deleted_files, 1, "the next one does");
  expect_equal(files_in(world.storage.folder), 0, "it is gone");
  must(store.put("a", bytes, pixel), "put it anew");
  expect_equal(must(store.get("a", ref.id), "get").bytes.size(), large, "it is there again");
  {
    auto unfinished = must(store.writer("a", pixel), "begin to write");
    must(unfinished->append(std::string(large, 'y')), "append");
    expect_equal(files_in(world.storage.folder), 2, "a staged file");
    world.advance(std::chrono::hours(1));
    expect_equal(must(store.sweep(world.now()), "sweep").deleted_stages, 1,
                 "what a writer left behind goes");
  }
  expect_equal(files_in(world.storage.folder), 1, "the one that is needed stays");
}

void attachment_delete_races_a_put_safely(const Factory& fresh) {
  World world(fresh);
  auto store = world.attachments();
  const std::string bytes(large, 'x');
  const auto ref = must(store.put("a", bytes, pixel), "put");
  must(store.forget("a", ref.id), "forget");
  world.advance(std::chrono::hours(1));
  {
    const Once putting("attachment.sweep.marked", [&]() -> Status {
      CLEW_TRY(store.put("b", bytes, pixel));
      return {};
    });
    must(store.sweep(world.now()), "a sweep in whose midst it is put again");
  }
  expect_equal(must(store.get("b", ref.id), "get").bytes.size(), large, "the put wins");
  {
    const Once sweeping("attachment.publish.before", [&]() -> Status {
      world.advance(std::chrono::hours(1));
      CLEW_TRY(store.forget("b", ref.id));
      CLEW_TRY(store.sweep(world.now()));
      return {};
    });
    must(store.put("c", bytes, pixel), "a put in whose midst the others forget");
  }
  expect_equal(must(store.get("c", ref.id), "get").bytes.size(), large, "c has it");
  must(store.forget("c", ref.id), "forget");
  {
    const Once forgetting("attachment.publish.after", [&]() -> Status {
      world.advance(std::chrono::hours(1));
      CLEW_TRY(store.forget("d", ref.id));
      CLEW_TRY(store.sweep(world.now()));
      return {};
    });
    expect_refused(store.put("d", bytes, pixel), Code::conflict, "forgotten while it was put");
  }
  world.advance(std::chrono::hours(1));
  must(store.sweep(world.now()), "sweep");
  expect_equal(files_in(world.storage.folder), 0, "nothing is left behind");
}

void attachment_too_large_leaves_nothing(const Factory& fresh) {
  World world(fresh);
  AttachmentStore store(*world.database, *world.env,
                        {.folder = world.storage.folder, .inline_max = 64, .size_max = 1'000});
  for (const std::size_t step : {2'000U, 100U}) {
    const auto refused = expect_no_trace<AttachmentRef>(
        world,
        [&]() -> Result<AttachmentRef> {
          CLEW_TRY(const auto writer, store.writer("root", pixel));
          for (int i = 0; i < 20; ++i) CLEW_TRY(writer->append(std::string(step, 'x')));
          return writer->finish();
        },
        Code::resource_exhausted, "more than the limit");
    expect_equal(told(refused, "size_max").as_int(), 1'000, "it names the limit");
  }
  if (!world.storage.folder.empty()) {
    expect_equal(files_in(world.storage.folder), 0, "no file is left");
  }
  expect_refused(store.put("root", "x", {"", 1, 1, ""}), Code::invalid_input, "no media type");
  expect_refused(store.put("root", "x", {"image/png", -1, 1, ""}), Code::invalid_input, "no width");
}

std::span<const Case> attachment_store_cases() {
  static constexpr Case cases[] = {
#define CLEW_CASE(function, needs) {#function, function, Needs::needs}
      CLEW_CASE(attachment_put_get_round_trips_bytes_and_meta, nothing),
      CLEW_CASE(attachment_is_content_addressed, nothing),
      CLEW_CASE(attachment_get_unknown_is_not_found, nothing),
      CLEW_CASE(attachment_reports_declared_persistence, nothing),
      CLEW_CASE(attachment_store_survives_reopen, reopen),
      CLEW_CASE(attachment_intent_comes_first, nothing),
      CLEW_CASE(attachment_of_any_size_streams, nothing),
      CLEW_CASE(attachment_damage_is_corrupt, folder),
      CLEW_CASE(attachment_files_stay_while_anyone_needs_them, folder),
      CLEW_CASE(attachment_delete_races_a_put_safely, folder),
      CLEW_CASE(attachment_too_large_leaves_nothing, nothing),
#undef CLEW_CASE
  };
  return cases;
}

}  // namespace clew::conformance
