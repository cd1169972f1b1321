#!/usr/bin/env python3
"""cuDNN's attention through PyTorch on the shapes of bench_hopper: TFLOP/s, medians; backward as it comes and deterministic.

Needs a GPU and PyTorch. 16384 tokens, heads as wide as 2048 together, bf16; operations counted: 4 b h s^2 d, half where causal,
2.5 times as many backward. --full: not only causal.
"""
import statistics
import sys

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


def rate(run, flops):
    launches = max(2, int(0.008 * 500e12 / flops))
    milliseconds(run, launches)
    return statistics.median(flops / milliseconds(run, launches) / 1e9 for _ in range(5))


print("| cuDNN in PyTorch", torch.__version__, "| forward | backward | deterministic |\n|---|---|---|---|")
for head in (64, 128):
    for causal in (True, False) if "--full" in sys.argv else (True,):
        for length in (1024, 4096, 16384):
            shape = (TOKENS // length, length, WIDTH // head, head)
            q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16).transpose(1, 2).requires_grad_() for _ in range(3))
            flops = 4 * TOKENS * length * WIDTH * (0.5 if causal else 1)
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                run = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
                with torch.no_grad():
                    rates = [rate(run, flops)]
                o = run()
                d_o = torch.randn_like(o)
                for deterministic in (False, True):
                    torch.use_deterministic_algorithms(deterministic)
                    rates.append(rate(lambda: torch.autograd.grad(o, (q, k, v), d_o, retain_graph=True), 2.5 * flops))
                torch.use_deterministic_algorithms(False)
            print(f"| head {head}, {'causal' if causal else 'full'}, S {length} |", " | ".join(f"{r:.0f}" for r in rates), "|", flush=True)
