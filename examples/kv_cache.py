"""Keep the KV cache of a memory in memsvc, and continue from it instead of reading the memory again.

    memsvc serve &
    python examples/kv_cache.py /models/Llama-3.2-1B MEMORY_ID --question "Where does Ana live?"

The first argument is the folder of any causal language model with full attention that transformers can load; nothing is
downloaded. The script reads the memory, computes its cache once, uploads it as an activation, finds it again by the
question's token ids, and answers twice: from the text, and from the cache. Both must give the same tokens.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.cache_utils import DynamicLayer

from memsvc.sdk import MemoryClient
from memsvc.sdk.requests_tensors import ModelFields

TRIES = 5  # of each timing; the median is shown


@dataclass(frozen=True)
class LocalModel:
    """A causal model, its tokenizer, and the names under which its tensors are kept."""

    model: Any
    tokenizer: Any
    identity: ModelFields
    position_scheme: str

    def tokens(self, text: str) -> list[int]:
        """Token ids without special ones, so that those of a prefix begin those of the whole."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class Report:
    """What continuing from the cache gave."""

    answer: str
    identical: bool
    reused_tokens: int
    prompt_tokens: int
    blob_bytes: int
    fetch_ms: float
    full_ms: float
    cached_ms: float

    def __str__(self) -> str:
        return (
            f"answer: {self.answer!r}\n"
            f"identical tokens with and without the cache: {self.identical}\n"
            f"prompt tokens read: {self.prompt_tokens - self.reused_tokens} instead of {self.prompt_tokens} "
            f"({self.reused_tokens} from the cache, {self.blob_bytes / 1e6:.1f} MB)\n"
            f"time to the first token: {self.cached_ms:.1f} ms instead of {self.full_ms:.1f} ms "
            f"({self.full_ms / self.cached_ms:.1f} times as fast); "
            f"finding and fetching the cache took {self.fetch_ms:.1f} ms"
        )


def load_model(folder: Path) -> LocalModel:
    """Load from disk alone. The revision is a hash of the files, so that changed weights never meet an old cache."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    weights = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    identity = ModelFields(
        model=folder.resolve().name,
        model_revision=_hash(weights),
        tokenizer_hash=_hash([folder / "tokenizer.json"]),
    )
    rope = getattr(model.config, "rope_parameters", None) or {}
    return LocalModel(model, tokenizer, identity, f"{rope.get('rope_type', 'default')}:{rope.get('rope_theta', 0):g}")


def build_cache(local: LocalModel, token_ids: Sequence[int]) -> DynamicCache:
    """The keys and values of every layer, after one pass over the tokens."""
    cache = DynamicCache(config=local.model.config)
    with torch.inference_mode():
        local.model(input_ids=torch.tensor([token_ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise SystemExit("This example crops caches, which needs a model with full attention in every layer.")
    return cache


def save_cache(cache: DynamicCache, path: Path) -> None:
    """One pair of tensors a layer, each of shape [1, key-value heads, tokens, head dimension]."""
    tensors = {}
    for number, layer in enumerate(cache.layers):
        tensors[f"layers.{number:04}.key"] = layer.keys.contiguous()
        tensors[f"layers.{number:04}.value"] = layer.values.contiguous()
    save_file(tensors, path)


def load_cache(local: LocalModel, path: Path, tokens: int) -> DynamicCache:
    """The first `tokens` tokens of a saved cache: attention is causal, so they do not depend on those that follow."""
    tensors = load_file(path)
    cache = DynamicCache(config=local.model.config)
    for number in range(len(tensors) // 2):
        key, value = (tensors[f"layers.{number:04}.{part}"][:, :, :tokens] for part in ("key", "value"))
        cache.update(key, value, number)
    return cache


def first_token(local: LocalModel, token_ids: Sequence[int], cache: DynamicCache) -> int:
    """Read what the cache does not hold yet, and give the likeliest next token."""
    unread = torch.tensor([token_ids[cache.get_seq_length() :]])
    with torch.inference_mode():
        output = local.model(input_ids=unread, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return int(output.logits[0, -1].argmax())


def generate(local: LocalModel, token_ids: Sequence[int], cache: DynamicCache, count: int) -> list[int]:
    """Greedy continuation."""
    made = [first_token(local, token_ids, cache)]
    while len(made) < count:
        made.append(first_token(local, [*token_ids, *made], cache))
    return made


def remember(client: MemoryClient, local: LocalModel, memory_id: str) -> int:
    """Compute the cache of a memory and keep it as an activation; returns how many tokens it holds."""
    memory = client.get(memory_id)
    token_ids = local.tokens(memory.content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.safetensors"
        save_cache(build_cache(local, token_ids), path)
        blob = client.tensors.upload(path)
    client.tensors.create_activation(
        blob,
        token_ids=token_ids,
        source=memory.id,
        space=memory.space,
        layers=local.model.config.num_hidden_layers,
        heads=local.model.config.num_key_value_heads,
        position_scheme=local.position_scheme,
        **local.identity,
    )
    return len(token_ids)


def continue_from_cache(
    client: MemoryClient, local: LocalModel, memory_id: str, question: str, count: int
) -> Report | None:
    """Answer from the stored cache and from the text, and compare; None when no cache fits."""
    memory = client.get(memory_id)
    prompt = [*local.tokens(memory.content), *local.tokens(question)]
    started = time.perf_counter()
    found = client.tensors.match(
        token_ids=prompt, spaces=[memory.space], position_scheme=local.position_scheme, **local.identity
    )
    if found is None:
        return None
    reused = min(found.matched_tokens, len(prompt) - 1)  # the last token must be read to have what follows it
    with tempfile.TemporaryDirectory() as folder:
        path = client.tensors.download(found.record.tensor.blob, Path(folder) / "cache.safetensors")
        fetch_ms = (time.perf_counter() - started) * 1000

        def stored() -> DynamicCache:
            return load_cache(local, path, reused)

        def empty() -> DynamicCache:
            return DynamicCache(config=local.model.config)

        from_cache, from_text = generate(local, prompt, stored(), count), generate(local, prompt, empty(), count)
        return Report(
            answer=local.tokenizer.decode(from_cache),
            identical=from_cache == from_text,
            reused_tokens=reused,
            prompt_tokens=len(prompt),
            blob_bytes=found.record.tensor.bytes,
            fetch_ms=fetch_ms,
            full_ms=_median_ms(lambda: first_token(local, prompt, empty())),
            cached_ms=_median_ms(lambda: first_token(local, prompt, stored())),  # with the time to load it
        )


def _median_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _hash(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status says whether both answers were the same."""
    parser = argparse.ArgumentParser(description="Continue from the stored KV cache of a memory.")
    parser.add_argument("model", type=Path, help="folder of a causal language model")
    parser.add_argument("memory", help="id of a memory")
    parser.add_argument("--question", default=" What does this say?")
    parser.add_argument("--tokens", type=int, default=24, help="how many tokens to generate")
    options = parser.parse_args(arguments)
    local = load_model(options.model)
    with MemoryClient(timeout=300) as client:
        print(f"stored the cache of {remember(client, local, options.memory)} tokens")
        report = continue_from_cache(client, local, options.memory, options.question, options.tokens)
    print(report or "The memory is shorter than 16 tokens: no cache of it is worth a look-up.")
    return 0 if report is None or report.identical else 1


if __name__ == "__main__":
    raise SystemExit(main())
