#!/usr/bin/env python3
"""The peer of `weft bench train` for a Llama: the same model in plain PyTorch (fused SDPA, RMS norm and AdamW; Muon from
torch.optim where asked), tied embeddings, packed qkv. Prints one JSON line: tokens a second, median over the steps."""
import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
for name, value in [("layers", 4), ("heads", 4), ("dim", 128), ("hidden", 0), ("context", 256), ("batch", 8), ("vocab", 768),
                    ("threads", 2), ("steps", 40)]:
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
parser.add_argument("--optimizer", choices=["adamw", "muon"], default="adamw")
parser.add_argument("--compile", action="store_true")
args = parser.parse_args()
hidden = args.hidden or (8 * args.dim // 3 + 63) // 64 * 64
size = args.dim // args.heads


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(args.dim), nn.RMSNorm(args.dim)
        self.qkv, self.out = nn.Linear(args.dim, 3 * args.dim, bias=False), nn.Linear(args.dim, args.dim, bias=False)
        self.gate_up, self.down = nn.Linear(args.dim, 2 * hidden, bias=False), nn.Linear(hidden, args.dim, bias=False)

    def forward(self, x, cos, sin):
        q, k, v = (t.view(*x.shape[:2], args.heads, size).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(x.shape))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).type_as(x)


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(args.vocab, args.dim)
        self.blocks = nn.ModuleList(Block() for _ in range(args.layers))
        self.norm = nn.RMSNorm(args.dim)
        angles = torch.outer(torch.arange(args.context), 10000.0 ** (-torch.arange(0, size, 2) / size))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x, y):
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.cross_entropy(F.linear(self.norm(x), self.tokens.weight).flatten(0, 1).float(), y.flatten())


torch.set_num_threads(args.threads)
torch.manual_seed(1)
model = Llama()
matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith("blocks.")]
others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and name.startswith("blocks."))]
if args.optimizer == "muon":
    optimizers = [torch.optim.Muon(matrices, lr=1e-3), torch.optim.AdamW(others, lr=1e-3, fused=True)]
else:
    optimizers = [torch.optim.AdamW(matrices + others, lr=1e-3, fused=True)]
run = torch.compile(model) if args.compile else model
autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bf16")
seconds = []
for _ in range(args.steps):
    x, y = (torch.randint(args.vocab, (args.batch, args.context)) for _ in range(2))
    start = time.perf_counter()
    with autocast:
        loss = run(x, y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds.append(time.perf_counter() - start)
timed = sorted(seconds[args.steps // 4:])
print(json.dumps({"peer": "Llama in PyTorch", "torch": torch.__version__, "parameters": sum(p.numel() for p in model.parameters()),
                  "compile": args.compile, "tokens_per_second": args.batch * args.context / timed[len(timed) // 2]} |
                 {k: v for k, v in vars(args).items() if k not in ("compile", "steps")}))
