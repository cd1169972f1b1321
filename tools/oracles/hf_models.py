#!/usr/bin/env python3
"""What transformers says, for Weft's Hugging Face reader and writer. Needs torch and transformers
(pip install torch transformers).

  hf_models.py make [DIR]         writes tests/models/<family>/: tiny models with random weights as
                                  transformers saves them, and expected.safetensors with tokens and
                                  the logits in f32 and bf16
  hf_models.py check WEFT DIR...  loads exported directories in transformers and holds its greedy
                                  continuation and log-probabilities against `WEFT generate --json`
"""
import argparse
import json
import pathlib
import shutil
import subprocess

import torch
import transformers
from safetensors.torch import save_file

SIZES = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=48, bos_token_id=None, eos_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
# family: config, dtype of the file, bytes of a shard
FAMILIES = {
    "gpt2": (transformers.GPT2Config(vocab_size=64, n_embd=16, n_inner=24, n_layer=2, n_head=2, n_positions=48,
                                     bos_token_id=None, eos_token_id=None), torch.float32, "5GB"),
    "llama": (transformers.LlamaConfig(**SIZES, rms_norm_eps=1e-5), torch.bfloat16, "5GB"),
    "llama_biases": (transformers.LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True), torch.float16, "5GB"),
    "llama3": (transformers.LlamaConfig(**SIZES, tie_word_embeddings=True, rope_parameters=LLAMA3), torch.float32,
               "5GB"),
    "mistral": (transformers.MistralConfig(**SIZES, head_dim=4, sliding_window=5), torch.bfloat16, "5GB"),
    "qwen2": (transformers.Qwen2Config(**SIZES, tie_word_embeddings=True, use_sliding_window=True, sliding_window=7,
                                       max_window_layers=1), torch.bfloat16, "4KB"),
    "qwen3": (transformers.Qwen3Config(**SIZES, head_dim=8, tie_word_embeddings=True), torch.bfloat16, "5GB"),
}


def randomize(model):
    """Larger than at the start of training, so that every token depends on those before it."""
    for name, parameter in model.named_parameters():
        norm = "norm" in name or ".ln_" in name
        scale = 1.0 if "embed" in name or "wte" in name or "wpe" in name else 0.3
        value = torch.randn_like(parameter, dtype=torch.float32) * (0.2 if norm else scale)
        if norm and name.endswith("weight"):
            value += 1
        parameter.data.copy_(value)


def logits_of(directory, tokens, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="eager")
    with torch.no_grad():
        return model.eval()(tokens).logits[0].contiguous()


def make(out):
    for seed, (family, (config, dtype, shard)) in enumerate(FAMILIES.items()):
        torch.manual_seed(seed)
        directory = out / family
        shutil.rmtree(directory, ignore_errors=True)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        randomize(model)
        model.to(dtype).save_pretrained(directory, max_shard_size=shard)
        tokens = torch.randint(0, 64, (1, 24))
        expected = {"tokens": tokens[0].to(torch.int32)}
        expected["f32"] = logits_of(directory, tokens, torch.float32)
        expected["bf16"] = logits_of(directory, tokens, torch.bfloat16)
        save_file(expected, directory / "expected.safetensors")
        error = (expected["bf16"].float() - expected["f32"]).norm() / expected["f32"].norm()
        print(f"{family}: {sum(p.numel() for p in model.parameters())} parameters, bf16 off by {error:.2e}")


def encoder_of(directory):
    text = json.loads((directory / "tokenizer.json").read_text())
    if text.get("format") == "weft-tokenizer":  # Weft's own: a character's or a byte's place
        if text["name"] == "byte":
            return lambda s: list(s.encode())
        place = {c: i for i, c in enumerate(text["characters"])}
        return lambda s: [place[c] for c in s]
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    return tokenizer.encode


def check(weft, directory, prompt):
    command = [weft, "generate", str(directory), "--dtype", "f32", "--temperature", "0", "--max-tokens", "24",
               "--json", "--prompt", prompt]
    got = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    ids = encoder_of(directory)(prompt)
    assert len(ids) == got["prompt_tokens"], (len(ids), got["prompt_tokens"])
    tokens = torch.tensor([ids + got["tokens"]])
    logits = logits_of(directory, tokens, torch.float32)[len(ids) - 1:-1].double()
    assert logits.argmax(-1).tolist() == got["tokens"], "the greedy tokens differ"
    want = logits.log_softmax(-1).gather(1, torch.tensor(got["tokens"])[:, None])[:, 0]
    error = (torch.tensor(got["logprobs"], dtype=torch.double) - want).abs().max() / logits.abs().max()
    print(f"{directory}: {len(got['tokens'])} greedy tokens equal, log-probabilities within {error:.1e}"
          " of the largest logit")
    assert error <= 1e-5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("out", nargs="?", type=pathlib.Path, default=pathlib.Path("tests/models"))
    checker = commands.add_parser("check")
    checker.add_argument("weft")
    checker.add_argument("directories", nargs="+", type=pathlib.Path)
    checker.add_argument("--prompt", default="Once upon a time")
    options = parser.parse_args()
    if options.command == "make":
        make(options.out)
    else:
        for directory in options.directories:
            check(options.weft, directory, options.prompt)


if __name__ == "__main__":
    main()
