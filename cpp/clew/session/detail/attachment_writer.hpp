// session/detail/attachment_writer.hpp: how attachments get into their store.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "clew/session/attachments.hpp"

namespace clew::session::detail {

inline constexpr std::string_view stage_folder = "staging";

// `options` must outlive it.
std::unique_ptr<AttachmentWriter> make_attachment_writer(store::Database& database, Env& env,
                                                         const AttachmentOptions& options,
                                                         std::string session_id,
                                                         AttachmentMeta meta);

// The meta in the JSON of a ref.
Value meta_part(const Value& ref);

}  // namespace clew::session::detail
