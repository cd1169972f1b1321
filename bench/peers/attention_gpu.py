#!/usr/bin/env python3
"""cuDNN's attention through PyTorch on the shapes of bench_hopper --attention: TFLOP/s, forward, medians.

Needs a GPU and PyTorch. 16384 tokens, heads as wide as 2048 together, bf16; operations counted: 4 b h s^2 d, half where causal.
"""
import statistics

try:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError:
    raise SystemExit("skipped: no PyTorch")
if not torch.cuda.is_available():
    raise SystemExit("skipped: no GPU")

TOKENS, WIDTH = 16384, 2048


def milliseconds(run, launches):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(launches):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / launches


print("| attention forward, cuDNN in PyTorch", torch.__version__, "| TFLOP/s |\n|---|---|")
for head in (64, 128):
    for causal in (True, False):
        for length in (1024, 4096, 16384):
            shape = (TOKENS // length, length, WIDTH // head, head)
            q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16).transpose(1, 2) for _ in range(3))
            flops = 4 * TOKENS * length * WIDTH * (0.5 if causal else 1)
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                run = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
                launches = max(2, int(0.008 * 500e12 / flops))
                milliseconds(run, launches)
                rates = [flops / milliseconds(run, launches) / 1e9 for _ in range(5)]
            print(f"| head {head}, {'causal' if causal else 'full'}, S {length} | {statistics.median(rates):.0f} |")
