#!/usr/bin/env python3
"""Ids by Hugging Face's tokenizers library, to hold Weft's against (weft/text/bpe_oracle_test.cpp).

    pip install tokenizers==0.23.3
    tools/oracles/tokenizer_ids.py --out tests/fixtures/tokenizers --strings 200
    tools/oracles/tokenizer_ids.py --out DIR --strings 100000 --vocab gpt2/tokenizer.json   # 0 of 700,000 differ (and of 600,000 of the small ones with byte fallback)
    WEFT_TOKENIZER_CASES=DIR build/release/weft_text_test --gtest_filter='TokenizerOracle.*'

For each pre-tokenizer it writes NAME.tokenizer.json (a small vocabulary trained here, or the one of --vocab) and
NAME.cases.jsonl: {"text", "ids", "decoded" where it is not the text} a line, of random Unicode strings. Everything follows from --seed."""
import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
END = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + END
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + END
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"
         rf"{CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
             "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
             "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
CODER = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]


def splits(patterns, *more, behavior="isolated", invert=False):
    steps = [pre_tokenizers.Split(Regex(p), behavior, invert) for p in patterns]
    return pre_tokenizers.Sequence([*steps, *more, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def kinds():
    """Name -> (pre-tokenizer, normalizer, added tokens with flags)."""
    plain = [AddedToken("<|endoftext|>", special=True, normalized=False)]
    flags = [AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True, special=True, normalized=False),
             AddedToken("word", single_word=True), AddedToken("<both>", lstrip=True, rstrip=True),
             AddedToken("<both>s", normalized=False), AddedToken("o\u030bt", normalized=True)]
    return {
        "gpt2": (pre_tokenizers.ByteLevel(add_prefix_space=False), None, plain),
        "llama3": (splits([LLAMA3]), None, plain),
        "qwen2": (splits([QWEN2]), normalizers.NFC(), plain),
        "o200k": (splits([O200K]), None, plain),
        "deepseek3": (splits(DEEPSEEK3), None, plain),
        "coder": (splits(CODER, pre_tokenizers.Digits(individual_digits=True)), None, plain),
        "flags": (pre_tokenizers.ByteLevel(add_prefix_space=True), normalizers.NFC(), flags),
    }


MARK = "\u2581"


def sentencepiece_kinds():
    """Name -> (normalizer, pre-tokenizer, added tokens) of vocabularies with byte fallback."""
    replace = normalizers.Replace(" ", MARK)
    ends = [AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False)]
    quirk = [AddedToken("<s>", special=True, normalized=True), AddedToken("<left>", lstrip=True, normalized=True),
             AddedToken("a word", normalized=True)]
    return {
        "llama2": (normalizers.Sequence([normalizers.Prepend(MARK), replace]), None, ends),
        "llama2_normalized": (normalizers.Sequence([normalizers.Prepend(MARK), replace]), None, quirk),
        "gemma": (replace, pre_tokenizers.Split(" ", "merged_with_previous"), ends),
        "mistral": (None, pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False), ends + quirk[1:]),
        "metaspace": (None, pre_tokenizers.Metaspace(MARK, prepend_scheme="always", split=True), ends + quirk[1:]),
        "metaspace_never": (None, pre_tokenizers.Metaspace(MARK, prepend_scheme="never", split=True), ends),
    }


def make_sentencepiece(name, rng):
    normalizer, pre, added = sentencepiece_kinds()[name]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    # Trained word by word; as characters far apart are rare, most of them have no token.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="never", split=True)
    spelled = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=spelled, limit_alphabet=200, show_progress=False)
    tokenizer.train_from_iterator(list(strings(rng, 500)) + ["the quick brown fox said hello to the lazy dog 2024"] * 50, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] == "<unk>"]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_tokens(added)
    if pre is None:
        state = json.loads(tokenizer.to_str())
        state["pre_tokenizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(state))
    else:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                             special_tokens=[("<s>", tokenizer.token_to_id("<s>") or 0)])
    return tokenizer


WORDS = ["I'll", "HE'S", "we've", "don't", "'ſ", "word", "a word", "Hello", "wordy", "<left>", "<right>", "<both>s",
         "<both>", "<|endoftext|>", "<|endof", "e\u0301t", "ét", "őt", "o\u030bt", "123456", "3.14", "CamelCaseXMLFile", "naïve", "世界", "ひらがな",
         "カタカナ", "한국어", "नमस्ते", "עברית", "👩‍👩‍👧", "\r\n", "\n\n", "   ", "\t", "\u00a0", "\u3000", "!!!", "://", "/*", "＠", "™"]


def strings(rng, count, words=WORDS):
    assigned = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    low = [c for c in range(0x3400) if not 0xD800 <= c < 0xE000]
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.randrange(7)
            if kind < 2:
                parts.append(rng.choice(words))
            elif kind == 2:
                parts.append("".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(1, 8))))
            elif kind == 3:
                parts.append(rng.choice([" ", " ", "  ", "\n", "'", "\u0301", "\u180e", "\x85"]))
            elif kind == 4:
                parts.append("".join(chr(rng.choice(low)) for _ in range(rng.randint(1, 6))))
            elif kind == 5:
                start = rng.choice(assigned)  # neighbours are often of one script
                parts.append("".join(chr(c) for c in range(start, min(start + rng.randint(1, 6), 0x110000))
                                     if not 0xD800 <= c < 0xE000))
            else:
                parts.append("".join(chr(rng.choice(assigned)) for _ in range(rng.randint(1, 4))))
        yield "".join(parts)


def make(name, vocab, rng):
    pre, normalizer, added = kinds()[name]
    tokenizer = Tokenizer(models.BPE())
    if vocab:
        tokenizer = Tokenizer.from_str(vocab)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    if not vocab:
        trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tokenizer.train_from_iterator(list(strings(rng, 2000)) + ["the quick brown fox said hello to the lazy dog 2024"] * 50, trainer)
    tokenizer.add_tokens(added)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--strings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vocab", type=pathlib.Path, help="a tokenizer.json whose vocabulary is taken")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    vocab = options.vocab.read_text() if options.vocab else None
    for name in [*kinds(), *([] if vocab else sentencepiece_kinds())]:
        rng = random.Random(f"{options.seed} {name}")
        tokenizer = make(name, vocab, rng) if name in kinds() else make_sentencepiece(name, rng)
        (options.out / f"{name}.tokenizer.json").write_text(tokenizer.to_str() + "\n")
        with open(options.out / f"{name}.cases.jsonl", "w") as file:
            words = WORDS if name in kinds() else [*WORDS, "<s>", "</s>", "<s>", MARK, " a word", " <left>"]
            for text in strings(rng, options.strings, words):
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                case = {"text": text, "ids": ids}
                decoded = tokenizer.decode(ids, skip_special_tokens=False)
                if decoded != text:
                    case["decoded"] = decoded
                file.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")
        print(name, tokenizer.get_vocab_size(), "tokens,", options.strings, "strings")
    train(options.out)


def train(out):
    """train.txt and what BpeTrainer learns from it (weft/text/bpe_train_test.cpp)."""
    rng = random.Random(2)
    words = ["".join(rng.choice("aeioubdlnrst") for _ in range(rng.randint(1, 9))) for _ in range(300)] + WORDS[20:]
    text = " ".join(words[min(int(rng.expovariate(0.02)), len(words) - 1)] for _ in range(3000)) + "\n"
    text = text.replace("<|endoftext|>", "")
    (out / "train.txt").write_text(text)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = splits([QWEN2]), decoders.ByteLevel()
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False))
    (out / "trained.json").write_text(tokenizer.to_str() + "\n")


main()
