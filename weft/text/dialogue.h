// How a dialogue is written for a model that Weft trains itself: plain text that every tokenizer
// can spell, one line a turn.
//   System: Answer briefly.
//   User: What is 3 + 4?
//   Assistant: 3 + 4 = 7.
//   User: Thank you!
//   Assistant: You are welcome.
// A turn is the speaker's name, ": " and the text; turns are joined by one line end, and after the
// last the dialogue ends as a story does, with an empty line. The turn of the system is first, if
// there is one. Line ends within a text become spaces, so that no text can look like two turns.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace weft {

enum class Speaker { system, user, assistant };

// "System", "User", "Assistant".
std::string_view speaker_name(Speaker speaker);

struct Turn {
  Speaker speaker = Speaker::user;
  std::string text;
};

// What ends an answer: generation stops there.
inline constexpr std::string_view kTurnEnd = "\n";
// What ends a dialogue in a corpus.
inline constexpr std::string_view kDialogueEnd = "\n\n";

// A whole dialogue as it stands in a corpus, with its end.
std::string dialogue_text(std::span<const Turn> turns);

// What a model is given to write the assistant's next turn: the turns so far and "Assistant:". What
// it writes begins with the space that follows.
std::string dialogue_prompt(std::span<const Turn> turns);

}  // namespace weft
