#!/usr/bin/env python3
"""The peer of `weft train` on tinyshakespeare: nanoGPT's model (github.com/karpathy/nanoGPT, model.py of a checkout named
by --nanogpt) trained with the setting of its README for a CPU. Prints one JSON line: tokens a second over the training
steps, and the loss on the whole validation split in windows of the context, as `weft eval` takes it."""
import argparse
import json
import math
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--nanogpt", required=True)
parser.add_argument("--text", required=True)
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--seed", type=int, default=1337)
parser.add_argument("--compile", action="store_true")
args = parser.parse_args()

sys.path.insert(0, args.nanogpt)
import torch  # noqa: E402
from model import GPT, GPTConfig  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
text = open(args.text, encoding="utf-8").read()
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
ids = torch.tensor([index[c] for c in text])
split = int(len(ids) * 0.9)
train, val = ids[:split], ids[split:]
context, batch, lr, min_lr, warmup = 64, 12, 1e-3, 1e-4, 100
model = GPT(GPTConfig(block_size=context, vocab_size=len(chars), n_layer=4, n_head=4, n_embd=128, dropout=0.0, bias=False))
optimizer = model.configure_optimizers(0.1, lr, (0.9, 0.99), "cpu")
run = torch.compile(model) if args.compile else model
autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bf16")


def rate(step):
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (args.steps - warmup)
    return min_lr + 0.5 * (1 + math.cos(math.pi * progress)) * (lr - min_lr)


def step(i):
    at = torch.randint(len(train) - context, (batch,))
    x = torch.stack([train[k:k + context] for k in at])
    y = torch.stack([train[k + 1:k + 1 + context] for k in at])
    for group in optimizer.param_groups:
        group["lr"] = rate(i)
    with autocast:
        _, loss = run(x, y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


seconds = []
for i in range(args.steps):
    start = time.perf_counter()
    step(i)
    seconds.append(time.perf_counter() - start)
model.eval()
total = 0.0
with torch.no_grad(), autocast:
    for k in range(0, len(val) - 1, context):
        x, y = val[k:k + context], val[k + 1:k + 1 + context]
        _, loss = model(x[None, :len(y)], y[None])
        total += float(loss) * len(y)
timed = sorted(seconds[min(10, len(seconds) // 2):])
print(json.dumps({"peer": "nanoGPT", "torch": torch.__version__, "dtype": args.dtype, "threads": args.threads, "seed": args.seed,
                  "steps": args.steps, "val_loss": total / (len(val) - 1),
                  "tokens_per_second": batch * context / timed[len(timed) // 2]}))
