// The sums of the dialogues: lists that a loop writes better than a person.
#include "weft/base/format.h"
#include "weft/text/story_grammar_table.h"

namespace weft {

// Each question ends with a sign that no number has, so that none begins another.
std::string sums_table() {
  std::string table = "@sum(asked, is):\n";
  for (int a = 1; a <= 50; ++a)
    for (int b = 1; b <= 50; ++b)
      table += format("  {0} plus {1}?, {0} plus {1} is {2}\n", a, b, a + b);
  for (int a = 1; a <= 20; ++a)
    for (int b = 1; b <= a; ++b)
      table += format("  {0} minus {1}?, {0} minus {1} is {2}\n", a, b, a - b);
  table += "@pile(has, now):\n";
  for (const char* thing : {"apples", "shells", "coins", "nuts"}) {
    for (int a = 2; a < 10; ++a) {
      for (int b = 2; b < 10; ++b)
        table += format("  {} {} and finds {} more, {} {}\n", a, thing, b, a + b, thing);
      for (int b = 2; b + 2 <= a; ++b)
        table += format("  {} {} and loses {}, {} {}\n", a, thing, b, a - b, thing);
    }
  }
  return table;
}

}  // namespace weft
