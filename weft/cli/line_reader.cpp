#include "weft/cli/line_reader.h"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <histedit.h>
#include <iostream>
#include <unistd.h>

#include "weft/base/error.h"

namespace weft::cli {
namespace {

// Characters of more than one byte are edited as one.
void use_utf8() {
  if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

// libedit's, which puts the terminal back as it was after each line.
struct LineReader::Editor {
  explicit Editor(const std::string& text) : prompt(text) {
    use_utf8();
    lines = history_init();
    edit = el_init("weft", stdin, stdout, stderr);
    if (!lines || !edit) resource_error("cannot set up the terminal {}", ttyname(0));
    HistEvent event;
    history(lines, &event, H_SETSIZE, 1000);
    history(lines, &event, H_SETUNIQUE, 1);
    el_set(edit, EL_CLIENTDATA, this);
    el_set(edit, EL_PROMPT, &Editor::show_prompt);
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_SIGNAL, 1);
    el_set(edit, EL_HIST, history, lines);
    el_source(edit, nullptr);  // ~/.editrc
  }
  ~Editor() {
    if (edit) el_end(edit);
    if (lines) history_end(lines);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static char* show_prompt(EditLine* edit) {
    Editor* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  std::string prompt;
  EditLine* edit = nullptr;
  History* lines = nullptr;
};

LineReader::LineReader(const std::string& prompt) {
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) editor_ = std::make_unique<Editor>(prompt);
}
LineReader::~LineReader() = default;

std::optional<std::string> LineReader::next() {
  std::string line;
  if (!editor_) {
    if (!std::getline(std::cin, line)) return std::nullopt;
  } else {
    int length = 0;
    const char* text = el_gets(editor_->edit, &length);
    if (!text || length <= 0) return std::nullopt;
    HistEvent event;
    if (*text != '\n') history(editor_->lines, &event, H_ENTER, text);
    line.assign(text, size_t(length));
    if (line.ends_with('\n')) line.pop_back();
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace weft::cli
