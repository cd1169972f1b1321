#!/usr/bin/env python3
"""The peer of `weft bench train` for GPT-2 124M: nanoGPT's model on PyTorch, random tokens, forward, backward, clipping
and AdamW. Prints one JSON line for each batch: the median tokens a second."""
import argparse
import json
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--nanogpt", required=True)
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=5)
args = parser.parse_args()

sys.path.insert(0, args.nanogpt)
import torch  # noqa: E402
from model import GPT, GPTConfig  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(1)
for batch, context in [(4, 64), (8, 256)]:
    model = GPT(GPTConfig(block_size=context, vocab_size=50304, bias=True))
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
    seconds = []
    for _ in range(args.runs + 1):
        x = torch.randint(50257, (batch, context))
        y = torch.randint(50257, (batch, context))
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            _, loss = model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    seconds = sorted(seconds[1:])
    print(json.dumps({"peer": "nanoGPT GPT-2 124M", "torch": torch.__version__, "dtype": args.dtype, "threads": args.threads,
                      "batch": batch, "context": context, "tokens_per_second": batch * context / seconds[len(seconds) // 2]}))
