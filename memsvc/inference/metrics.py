"""What the batcher measures, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 65_536)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

BATCH_TEXTS = Histogram("memsvc_encoder_batch_texts", "Texts in one batch.", ["kind"], buckets=_SIZES)
PADDED_TOKENS = Histogram(
    "memsvc_encoder_padded_tokens", "Tokens of a batch of documents, padding included.", buckets=_TOKENS
)
WAITING = Gauge("memsvc_encoder_waiting_texts", "Texts that wait for the encoder.", ["kind"])
WAIT_SECONDS = Histogram(
    "memsvc_encoder_wait_seconds", "From the request to its first batch.", ["kind"], buckets=_SECONDS
)
ENCODE_SECONDS = Histogram("memsvc_encoder_encode_seconds", "One batch in the encoder.", ["kind"], buckets=_SECONDS)
FAILED_BATCHES = Counter("memsvc_encoder_failed_batches_total", "Batches that the encoder failed.", ["kind"])
REFUSED = Counter("memsvc_encoder_refused_total", "Requests refused because the queue was full.", ["kind"])
QUERY_CACHE = Counter("memsvc_encoder_query_cache_total", "Look-ups of a query's vector.", ["result"])
