// The grammar of what `weft demo` learns, as text (story_grammar_rules.h says how to read it).
#pragma once
#include <string>
#include <string_view>

namespace weft {

extern const std::string_view kStoryTable;
// Begins a table that goes on with the stories and the sums.
extern const std::string_view kDialogueTable;

// Two memories: @sum(asked, is) and @pile(has, now).
std::string sums_table();

}  // namespace weft
