"""Tensor payloads over HTTP: activations (KV caches, soft prompts) and parametrics (adapters), and their blobs."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from memsvc.wire import Memory, Metadata, Model, Name, Reason, Sensitivity, TextKind, Visibility

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Size = Annotated[int, Field(ge=0, lt=2**31)]
Spaces = Annotated[list[Name], Field(min_length=1, max_length=50)]
MAX_TOKENS = 1_000_000


class BlobOut(Model):
    """A stored blob: it is complete, has this SHA-256, and is well-formed safetensors."""

    sha256: str
    bytes: int
    tensors: int = Field(description="How many tensors the file holds.")
    used_bytes: int = Field(description="What the tenant's blobs take, this one included.")
    quota_bytes: int


class TensorModel(Model):
    """The model that tensors were made with; tensors of two models, or revisions, are never exchanged."""

    model: Identifier = Field(description="Model id, such as meta-llama/Llama-3.2-1B.")
    model_revision: Identifier = Field(description="Its exact revision: a commit or a hash of its files.")
    tokenizer_hash: Identifier = Field(description="A hash of the tokenizer's files.")
    position_scheme: Identifier | None = Field(
        None, description="How positions are encoded, such as rope:10000, where the model alone does not say it."
    )


class TensorIn(TensorModel):
    """What both kinds of tensor record say."""

    id: UUID | None = Field(None, description="Your id; the same id with the same content is stored once.")
    space: Name = "default"
    blob: Hash = Field(description="SHA-256 of the blob, uploaded before.")
    source: UUID | None = Field(
        None, description="The memory it was made from: when that is edited, ends or is erased, this is no longer used."
    )
    content: str | None = Field(None, max_length=100_000, description="A description; by default one is made.")
    name: Name | None = None
    layers: Size | None = None
    heads: Size | None = None
    dtype: str | None = Field(None, description="As safetensors names it (F32, BF16); by default, as in the blob.")
    shape: list[Size] | None = Field(
        None, max_length=16, description="Shape of a tensor of the blob; by default, of the first by name."
    )
    importance: float = Field(0.5, ge=0, le=1)
    sensitivity: Sensitivity = "normal"
    visibility: Visibility = "space"
    expires_at: datetime | None = None
    metadata: Metadata = Field(default_factory=dict)
    reason: Reason | None = Field(None, description="Why, for the history.")


class ActivationIn(TensorIn):
    """A KV cache or soft prompt. One with 16 `token_ids` or more is found by prefix."""

    kind: TextKind = "document"
    token_ids: list[TokenId] = Field(
        default_factory=list, max_length=MAX_TOKENS, description="What it is the cache of, in order."
    )


class ParametricIn(TensorIn):
    """Adapter weights."""

    kind: TextKind = "procedure"


class TensorOut(TensorModel):
    """The tensor header of a record."""

    blob: str
    bytes: int
    source: UUID | None
    source_version: int | None
    layers: int | None
    heads: int | None
    dtype: str
    shape: list[int]
    tokens: int = Field(description="How many token ids it is the cache of.")
    reusable: bool = Field(description="It and its source are current, hold, and may be read by you.")


class TensorRecord(Model):
    """A memory of payload type `activation` or `parametric`."""

    memory: Memory
    tensor: TensorOut


class MatchRequest(TensorModel):
    """Ask for the activation with the longest prefix in common; give either `token_ids` or `prefix_hashes`."""

    spaces: Spaces = Field(default_factory=lambda: ["default"])
    token_ids: list[TokenId] | None = Field(None, min_length=1, max_length=MAX_TOKENS)
    prefix_hashes: list[Hash] | None = Field(
        None, min_length=1, max_length=MAX_TOKENS // 16, description="h(1), h(2)... of docs/tensors.md."
    )


class Match(Model):
    """The best activation: its first `matched_tokens` tokens are the request's."""

    id: UUID
    matched_tokens: int
    stored_tokens: int = Field(description="Tokens in the cache; crop it to `matched_tokens`.")
    record: TensorRecord


class MatchResponse(Model):
    """`match` is null when no activation shares at least 16 tokens."""

    match: Match | None


class InvalidateRequest(Model):
    """Expire every tensor record of a model, but those of one revision."""

    spaces: Spaces = Field(default_factory=lambda: ["default"])
    model: Identifier
    keep_revision: Identifier | None = Field(None, description="The revision in use; unset: none is kept.")
    dry_run: bool = False
    reason: Reason | None = None


class DemoteRequest(Model):
    """Archive activations that nobody used for a while; their plaintext sources stay."""

    spaces: Spaces = Field(default_factory=lambda: ["default"])
    idle_days: float = Field(30, ge=0, le=36_500, description="Not matched, and not made, for this long.")
    dry_run: bool = False
    reason: Reason | None = None


class SpaceChange(Model):
    """What one space's operation changed; `operation_id` is null when nothing was, and in a dry run."""

    space: str
    operation_id: UUID | None
    ids: list[UUID]


class TensorChanges(Model):
    """The operations of a request, by space; each can be undone."""

    changes: list[SpaceChange]
    changed: int
    dry_run: bool


class Candidate(Model):
    """A plaintext memory that is worth an activation."""

    memory: Memory
    tokens: int = Field(description="Estimated.")


class CandidateList(Model):
    """The most used first."""

    items: list[Candidate]
