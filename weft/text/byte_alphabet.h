// GPT-2's spelling of bytes as printable characters, which tokenizer.json and GGUF have their
// tokens in: printable Latin-1 stands for itself, the other 68 bytes are U+0100, U+0101, ...
// (encoder.py of GPT-2, bytes_to_unicode).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

char32_t alphabet_character(uint8_t byte);
// The bytes that `text` spells, or nothing when it has a character that spells none.
std::optional<std::string> bytes_of_alphabet(std::string_view text);
std::string in_alphabet(std::string_view bytes);

}  // namespace weft
