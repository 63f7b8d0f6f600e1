"""A causal language model small enough to be made in a test: random weights, a word a token."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = [f"w{number}" for number in range(500)]


def save_tiny_model(folder: Path, *, hidden: int = 64, layers: int = 2, seed: int = 5) -> None:
    """Write the model and its tokenizer as transformers reads them."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,  # far apart logits: the same token, whichever way the sums are rounded
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {"<unk>": 0, **{word: number + 1 for number, word in enumerate(WORDS)}}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


def words(count: int, *, start: int = 0) -> str:
    """So many words that the tokenizer knows."""
    return " ".join(WORDS[(start + number * 7) % len(WORDS)] for number in range(count))
