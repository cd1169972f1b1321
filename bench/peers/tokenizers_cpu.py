#!/usr/bin/env python3
"""Weft's encoder beside Hugging Face's tokenizers on one thread, by turns, same text and vocabulary.

    pip install tokenizers
    bench/peers/tokenizers_cpu.py --bench build/release/bench_tokenizer --text FILE --tokenizer tokenizer.json"""
import argparse
import os
import re
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--bench", required=True)
parser.add_argument("--text", required=True)
parser.add_argument("--tokenizer", required=True)
options = parser.parse_args()
text = open(options.text, encoding="utf-8", newline="").read()
size = len(text.encode())
lines = text.splitlines(keepends=True)
documents = ["".join(lines[i:i + 20]) for i in range(0, len(lines), 20)]  # short texts suit the library better
tokenizer = Tokenizer.from_file(options.tokenizer)
for turn in range(3):
    output = subprocess.run([options.bench, "--text", options.text, "--tokenizer", options.tokenizer],
                            capture_output=True, text=True, check=True).stdout
    weft = float(re.search(r"encode, one core\s+([\d.]+)", output).group(1))
    rates = []
    for batch in ([text], documents):
        start = time.thread_time()
        for document in batch:
            tokenizer.encode(document, add_special_tokens=False)
        rates.append(size / 1e6 / (time.thread_time() - start))
    print(f"turn {turn}: weft {weft:.1f} MB/s, tokenizers {rates[0]:.1f} MB/s whole, {rates[1]:.1f} MB/s in parts; "
          f"ratio {weft / max(rates):.1f}")
