"""The bundle format, version 2: the rows of its JSONL members and its manifest. docs/bundle.md describes it."""

from typing import Annotated, Literal, NotRequired
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue, StringConstraints, with_config
from typing_extensions import TypedDict

from memsvc.wire import Kind, Model, Policies, Precision, Reason, Role, Sensitivity, State, Visibility

FORMAT = "memsvc-bundle"
VERSION = 2
# Read still; they have no facts.jsonl.
EARLIER = (1,)

Whole = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Counted = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Moment = Annotated[AwareDatetime, Field(strict=True)]
# What is stored already is taken as it is, if it can be stored at all.
Label = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]
Words = Annotated[str, StringConstraints(strict=True, max_length=1000)]
Fingerprint = Annotated[str, StringConstraints(strict=True, pattern=r"^([0-9a-f]{32}|[0-9a-f]{64})$")]
Hash = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
# 256 bits a token, in base64: no chunk has more tokens than a text that an encoder reads.
Codes = Annotated[str, StringConstraints(strict=True, max_length=1_000_000, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Fields = dict[str, JsonValue]

# A field that is not known is a fault; one that is null is left out.
_strict = with_config(ConfigDict(extra="forbid"))


@_strict
class SessionRow(TypedDict):
    """A line of sessions.jsonl, in the order in which sessions began."""

    name: Label
    next_position: Whole
    created_at: Moment


@_strict
class OperationRow(TypedDict):
    """A line of operations.jsonl, in the order of commits: it made a version or an edge that the bundle holds."""

    id: UUID
    kind: Label
    principal: Label
    reason: NotRequired[Reason]
    details: Fields
    recorded_at: Moment
    undoes: NotRequired[UUID]
    undone_by: NotRequired[UUID]


class VersionFields(TypedDict):
    """What differs from one version of a memory to the next."""

    version: Counted
    content: Counted
    operation: UUID
    updated_at: Moment
    occurred_at: NotRequired[Moment]
    occurred_zone: NotRequired[Label]
    valid_from: NotRequired[Moment]
    valid_from_precision: NotRequired[Precision]
    valid_to: NotRequired[Moment]
    valid_to_precision: NotRequired[Precision]
    superseded_by: NotRequired[UUID]
    state: State
    importance: Share
    strength: Amount
    access_count: Whole
    last_accessed_at: NotRequired[Moment]
    trust: Share
    sensitivity: Sensitivity
    visibility: Visibility
    expires_at: NotRequired[Moment]
    retained_until: NotRequired[Moment]
    legal_hold: Flag
    fingerprint: Fingerprint
    metadata: Fields


@_strict
class MemoryRow(VersionFields):
    """A line of memories.jsonl: a memory in its current version, in the order of recording."""

    id: UUID
    kind: Kind
    payload_type: Literal["plaintext", "activation", "parametric"]
    role: NotRequired[Role]
    name: NotRequired[Label]
    session: NotRequired[Label]
    position: NotRequired[Whole]
    origin: Label
    principal: Label
    recorded_at: Moment


@_strict
class HistoryRow(VersionFields):
    """A line of history.jsonl: a past version, known until `known_to`."""

    memory: UUID
    known_to: Moment


@_strict
class ContentRow(TypedDict):
    """A line of contents.jsonl: what a memory says since the version that introduced it."""

    memory: UUID
    version: Counted
    content: Annotated[str, Field(strict=True)]


@_strict
class ChunkRow(TypedDict):
    """A line of chunks.jsonl: characters [start, end) of the content that version `content` introduced."""

    memory: UUID
    content: Counted
    start: Whole
    end: Whole
    codes: NotRequired[Codes]


@_strict
class EdgeRow(TypedDict):
    """A line of lineage.jsonl: `derived` was made from `source`, in the version it then had."""

    derived: UUID
    source: UUID
    source_version: Counted
    operation: UUID
    recorded_at: Moment


@_strict
class FactRow(TypedDict):
    """A line of facts.jsonl: what a memory says, found at characters [start, end) of what `source` said since the
    version `content`. `share`: how far it lifts that in recall; of one that is its own source there is none."""

    memory: UUID
    source: UUID
    content: Counted
    start: Whole
    end: Whole
    subject: Words
    attribute: Words
    value: Annotated[str, Field(strict=True)]
    negated: Flag
    confidence: Share
    extractor: Label
    share: NotRequired[Share]


@_strict
class TensorRow(TypedDict):
    """A line of tensors.jsonl: the header of a memory that holds tensors, whose bytes are blobs/<blob>.safetensors."""

    memory: UUID
    blob: Hash
    bytes: Annotated[int, Field(strict=True, ge=0)]
    source: NotRequired[UUID]
    source_version: NotRequired[Counted]
    model: Label
    model_revision: Label
    tokenizer_hash: Label
    layers: NotRequired[Whole]
    heads: NotRequired[Whole]
    dtype: Label
    shape: Annotated[list[Whole], Field(max_length=16)]
    position_scheme: NotRequired[Label]
    token_ids: list[Whole]


class BundleEncoder(Model):
    """The encoder that cut the contents, and made the vectors if there are any."""

    key: str
    name: str
    revision: str
    dimension: int = Field(ge=1, le=16_000)
    pooling: str
    query_prefix: str
    document_prefix: str
    file_hash: str


class BundleCounts(Model):
    """Lines of each member, and what the bundle leaves out."""

    sessions: int = Field(ge=0)
    memories: int = Field(ge=0)
    history: int = Field(ge=0)
    contents: int = Field(ge=0)
    chunks: int = Field(ge=0)
    operations: int = Field(ge=0)
    lineage: int = Field(ge=0)
    facts: int = Field(0, ge=0)
    tensors: int = Field(ge=0)
    blobs: int = Field(ge=0)
    outside_edges: int = Field(ge=0, description="Edges of lineage whose source is not in the bundle.")


class BundleSpace(Model):
    """What holds for the space."""

    open: bool
    policies: Policies


class BundleMember(Model):
    """A file of the bundle."""

    name: str
    bytes: int = Field(ge=0)
    sha256: Hash


class Manifest(Model):
    """manifest.json: what the bundle is, and the size and SHA-256 of every other member, in their order."""

    format: Literal["memsvc-bundle"]
    version: Literal[1, 2]
    counts: BundleCounts
    encoder: BundleEncoder
    embeddings: bool
    space: BundleSpace
    members: list[BundleMember]
