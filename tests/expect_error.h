// EXPECT_ERROR(kind, "part of the sentence", statement): the statement throws weft::Error of that
// kind and wording.
#pragma once
#include <gtest/gtest.h>

#include "weft/base/error.h"

namespace weft::testing {

template <class F>
void expect_error(ErrorKind kind, const std::string& part, F&& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(int(error.kind()), int(kind)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << "expected: " << part << "\ngot:      " << error.what();
    return;
  }
  ADD_FAILURE() << "no error; expected: " << part;
}

// Runs a parser over bytes that may be wrong: it returns, or throws an Error that is not a bug of
// ours.
template <class F>
bool accepts(F&& run) {
  try {
    run();
    return true;
  } catch (const Error& error) {
    EXPECT_NE(int(error.kind()), int(ErrorKind::internal)) << error.what();
    EXPECT_FALSE(std::string(error.what()).empty());
    return false;
  }
}

}  // namespace weft::testing

#define EXPECT_ERROR(kind, part, ...) \
  ::weft::testing::expect_error(::weft::ErrorKind::kind, part, [&] { __VA_ARGS__; })
