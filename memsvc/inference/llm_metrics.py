"""What calls to a language model measure, for Prometheus. Purposes are the names of prompts: a handful."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)

CALLS = Counter("memsvc_llm_calls_total", "Calls of the language model.", ["purpose"])
FAILURES = Counter("memsvc_llm_failures_total", "Calls without an answer.", ["purpose", "cause"])
REFUSED = Counter("memsvc_llm_refused_total", "Calls that were not made.", ["purpose", "cause"])
TOKENS = Counter("memsvc_llm_tokens_total", "Tokens, as they are counted.", ["purpose", "direction"])
SECONDS = Histogram("memsvc_llm_call_seconds", "One call, answered or not.", ["purpose"], buckets=_SECONDS)
INVALID = Counter("memsvc_llm_invalid_total", "Answers that did not have their form.", ["purpose"])
DROPPED = Counter("memsvc_llm_dropped_total", "What the input of an answer did not bear out.", ["purpose", "reason"])
