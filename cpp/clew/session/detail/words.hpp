// session/detail/words.hpp: the words of the enumerations, the same in tables, JSON and Python.
#pragma once

#include "clew/session/detail/fields.hpp"
#include "clew/session/records.hpp"

namespace clew::session::detail {

inline constexpr Word<FrameStatus> frame_statuses[] = {{FrameStatus::active, "active"},
                                                       {FrameStatus::superseded, "superseded"}};
inline constexpr Word<GraphDelta::Kind> delta_kinds[] = {
    {GraphDelta::Kind::unchanged, "unchanged"},
    {GraphDelta::Kind::append, "append"},
    {GraphDelta::Kind::replace_full, "replace_full"}};
inline constexpr Word<Relation> relations[] = {{Relation::root, "root"},
                                               {Relation::child, "child"}};

}  // namespace clew::session::detail
