#include "weft/kernels/cuda/texts.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft_kernel_texts.h"  // generated: weft_kernel_texts[]

namespace weft::kernels::cuda {
namespace {

// By the path from the repository's root.
std::string_view text_of(std::string_view path) {
  for (const KernelText& t : weft_kernel_texts)
    if (t.path == path) return t.text;
  WEFT_CHECK(false, "no kernel text {}", path);
  return "";
}

}  // namespace

void add_headers(weft::cuda::KernelSource& source, std::string_view text) {
  constexpr std::string_view include = "#include \"weft/";
  for (size_t at = text.find(include); at != text.npos; at = text.find(include, at + 1)) {
    const size_t begin = at + include.find("weft/");
    const std::string path(text.substr(begin, text.find('"', begin) - begin));
    const auto known = [&](const auto& header) { return header.first == path; };
    if (std::any_of(source.headers.begin(), source.headers.end(), known)) continue;
    source.headers.emplace_back(path, text_of(path));
    add_headers(source, text_of(path));
  }
}

weft::cuda::KernelSource kernel_source(const std::string& name) {
  weft::cuda::KernelSource source;
  source.name = name;
  source.text = text_of(format("weft/kernels/cuda/device/{}.cu", name));
  add_headers(source, source.text);
  return source;
}

std::string product_text(const TensorCoreProduct& p) {
  const int sums = p.n / 2, b = sums + (p.a_in_registers ? 4 : 1);
  std::string places, operands;
  for (int i = 0; i < sums; ++i) {
    places += format("{}%{}", i ? ", " : "", i);
    operands += format("{}\"+f\"(d[{}])", i ? ", " : "", i);
  }
  const std::string a_places =
      p.a_in_registers ? format("{{%{}, %{}, %{}, %{}}}", sums, sums + 1, sums + 2, sums + 3)
                       : format("%{}", sums);
  const std::string turns = p.a_in_registers ? format("{}", int(p.b_turned))
                                             : format("{}, {}", int(p.a_turned), int(p.b_turned));
  const char* type = p.f16 ? "f16" : "bf16";
  return format(
      "INLINE void {}(float (&d)[{}], {}, u64 b, bool add) {{\n"
      "  asm volatile(\"{{\\n.reg .pred add;\\nsetp.ne.b32 add, %{}, 0;\\n\"\n"
      "    \"wgmma.mma_async.sync.aligned.m64n{}k16.f32.{}.{} \"\n"
      "    \"{{{}}}, {}, %{}, add, 1, 1, {};\\n}}\"\n"
      "    : {}\n    : {}, \"l\"(b), \"r\"(int(add)));\n}}\n",
      p.name, sums, p.a_in_registers ? "u32 a0, u32 a1, u32 a2, u32 a3" : "u64 a", b + 1, p.n, type,
      type, places, a_places, b, turns, operands,
      p.a_in_registers ? "\"r\"(a0), \"r\"(a1), \"r\"(a2), \"r\"(a3)" : "\"l\"(a)");
}

}  // namespace weft::kernels::cuda
