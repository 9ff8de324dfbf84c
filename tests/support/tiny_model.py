"""A tiny random language model: a llama-style GGUF file of half a megabyte, the same on every run.

Its words are babble, but the server that runs it is the real one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 4096
WORDS = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
    "hot",
    "word",
    "but",
    "what",
    "some",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "there",
    "when",
    "up",
    "use",
    "your",
    "how",
    "said",
    "an",
    "each",
    "she",
    "which",
    "do",
    "their",
    "time",
    "if",
    "will",
]
_UNKNOWN, _CONTROL, _NORMAL, _BYTE = 2, 3, 1, 6


def vocabulary() -> tuple[list[bytes], list[float], list[int]]:
    """Tokens, scores and types: specials, all bytes, printable characters, words."""
    tokens, scores, kinds = [b"<unk>", b"<s>", b"</s>"], [0.0] * 3, [_UNKNOWN, _CONTROL, _CONTROL]
    for value in range(256):
        tokens.append(f"<0x{value:02X}>".encode())
        scores.append(0.0)
        kinds.append(_BYTE)
    for value in (*range(32, 127), 0x2581):
        tokens.append(chr(value).encode())
        scores.append(-1000.0 - value)
        kinds.append(_NORMAL)
    for place, word in enumerate(WORDS):
        tokens.append(f"\u2581{word}".encode())
        scores.append(-10.0 - place)
        kinds.append(_NORMAL)
    return tokens, scores, kinds


def write_model(path: Path) -> None:
    """Write the model to `path`."""
    tokens, scores, kinds = vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:")
    _add_weights(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: gguf.GGUFWriter, size: int) -> None:
    random = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * 0.4).astype(np.float32))

    add("token_embd.weight", size, WIDTH)
    output = random.standard_normal((size, WIDTH)).astype(np.float32)
    output[: size - len(WORDS)] *= 0.05  # words win over bytes, so the babble can be read
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
