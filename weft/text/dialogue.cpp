#include "weft/text/dialogue.h"

#include <algorithm>

namespace weft {
namespace {

std::string on_one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

// Without the last line end.
std::string joined(std::span<const Turn> turns) {
  std::string text;
  for (const Turn& turn : turns) {
    if (!text.empty()) text += kTurnEnd;
    text += speaker_name(turn.speaker);
    text += ": " + on_one_line(turn.text);
  }
  return text;
}

}  // namespace

std::string_view speaker_name(Speaker speaker) {
  switch (speaker) {
    case Speaker::system:
      return "System";
    case Speaker::user:
      return "User";
    case Speaker::assistant:
      break;
  }
  return "Assistant";
}

std::string dialogue_text(std::span<const Turn> turns) {
  return joined(turns) + std::string(kDialogueEnd);
}

std::string dialogue_prompt(std::span<const Turn> turns) {
  std::string text = joined(turns);
  if (!text.empty()) text += kTurnEnd;
  text += speaker_name(Speaker::assistant);
  return text + ":";
}

}  // namespace weft
