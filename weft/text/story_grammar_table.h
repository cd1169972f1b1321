// The grammar of the little stories that `weft demo` learns, as text (story_grammar_rules.h says
// how to read it).
#pragma once
#include <string_view>

namespace weft {

extern const std::string_view kStoryGrammar;

}  // namespace weft
