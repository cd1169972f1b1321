#include "weft/kernels/cuda/shipped.h"

#include "weft/base/format.h"
#include "weft/kernels/cuda/attention.h"
#include "weft/kernels/cuda/attention_backward.h"
#include "weft/kernels/cuda/attention_paged.h"
#include "weft/kernels/cuda/matmul.h"

namespace weft::kernels::cuda {
namespace {

std::string epilogue_name(const MatmulEpilogue& e) {
  std::string name;
  const std::pair<bool, const char*> parts[] = {{e.bias, " bias"},
                                                {e.gelu, " gelu"},
                                                {e.keep_slope, " slope"},
                                                {e.times_slope, " times slope"},
                                                {e.residual, " residual"},
                                                {e.swiglu, " swiglu"},
                                                {e.swiglu_gradient, " swiglu gradient"}};
  for (const auto& [there, word] : parts)
    if (there) name += word;
  return name;
}

std::string name_of(const MatmulSchedule& s) {
  return format("matmul {}x{} in {}x{}{}{}{}{}", s.tile_m, s.tile_n, s.cluster_m, s.cluster_n,
                s.a_turned ? " A turned" : "", s.b_turned ? " B turned" : "",
                s.accumulate ? " added to f32"
                : s.f32_out  ? " f32"
                             : "",
                epilogue_name(s.epilogue));
}
std::string name_of(const SkinnySchedule& s) {
  return format("skinny {} rows, {} of W", s.a_rows, s.rows);
}
// Of attention's schedules.
template <class Schedule>
std::string name_of(const char* what, const Schedule& s) {
  return format("{} {}{}{}{}{}", what, s.head_dim, s.causal ? " causal" : "",
                s.windowed ? " windowed" : "", s.capped ? " capped" : "", s.f16 ? " f16" : "");
}

}  // namespace

std::vector<ShippedKernel> shipped_kernels() {
  std::vector<ShippedKernel> all;
  for (const MatmulSchedule& s : shipped_matmul_schedules())
    all.push_back({name_of(s), matmul_source(s), shared_bytes(s)});
  for (const SkinnySchedule& s : shipped_skinny_schedules())
    all.push_back({name_of(s), skinny_source(s), shared_bytes(s)});
  for (const AttentionSchedule& s : shipped_attention_schedules())
    all.push_back({name_of(format("attention, tiles of {},", tile_rows(s)).c_str(), s),
                   attention_source(s), shared_bytes(s)});
  for (const BackwardSchedule& s : shipped_backward_schedules()) {
    all.push_back(
        {name_of("attention backward", s), attention_backward_source(s), shared_bytes(s)});
    all.push_back({name_of("attention row terms", s), attention_row_terms_source(s), 0});
  }
  for (const PagedSchedule& s : shipped_paged_schedules())
    all.push_back({name_of(format("attention paged, pages of {},", s.page_rows).c_str(), s),
                   paged_attention_source(s), shared_bytes(s)});
  return all;
}

std::string report_line(const ShippedKernel& k, const weft::cuda::KernelReport& r) {
  return format("{}: {} registers, {} bytes of shared memory, {} spilled{}\n", k.name, r.registers,
                r.static_shared_bytes + k.shared_bytes, r.spill_bytes,
                r.serialised ? ", tensor-core instructions wait for each other" : "");
}

}  // namespace weft::kernels::cuda
