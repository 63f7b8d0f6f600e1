"""Request and response models: what travels over HTTP. The SDK and the API share these classes."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Kind = Literal["turn", "fact", "summary", "preference", "procedure", "concept", "core", "document"]
TextKind = Literal["fact", "summary", "preference", "procedure", "concept", "document"]
Role = Literal["user", "assistant", "system", "tool"]
State = Literal["generated", "activated", "merged", "archived", "expired", "frozen", "quarantined"]
Scope = Literal["read", "write", "admin"]
Sensitivity = Literal["public", "normal", "sensitive"]
Visibility = Literal["private", "space", "tenant"]
DeleteMode = Literal["archive", "expire", "erase"]
Precision = Literal["year", "month", "day", "instant"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]
Metadata = dict[str, JsonValue]


class Model(BaseModel):
    """A field that is not known is an error: a typing slip must not lose data silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Header(Model):
    """What a caller may say about any item."""

    id: UUID | None = Field(None, description="Your id; the same id with the same content is stored once.")
    content: str = Field(description="The text, stored byte for byte.")
    importance: float = Field(0.5, ge=0, le=1, description="How much it matters, 0 to 1.")
    sensitivity: Sensitivity = "normal"
    visibility: Visibility = Field("space", description="private: you alone; space: its readers; tenant: everyone.")
    expires_at: datetime | None = Field(None, description="After this moment it is never returned.")
    valid_from: str | None = Field(
        None, description="Since when it is true: a year, month or day (its first moment), or a moment (ISO 8601)."
    )
    valid_to: str | None = Field(
        None, description="Until when it was true: a year, month or day (included), or a moment. Unset: it still is."
    )
    derived_from: list[UUID] = Field(
        default_factory=list, max_length=1000, description="Memories it was made from; erasing one erases it."
    )
    supersedes: list[UUID] = Field(
        default_factory=list, max_length=100, description="Memories of this space that are no longer true from here on."
    )
    metadata: Metadata = Field(default_factory=dict, description="Free fields; recall filters by equality.")


class MessageIn(Header):
    """One message of a conversation; it becomes a memory of kind `turn`."""

    role: Role
    name: Name | None = Field(None, description="Who spoke, when roles do not say it.")
    timestamp: datetime | None = Field(
        None, description="When it was said (ISO 8601). Without an offset the request's `timezone` applies."
    )
    session: Name | None = Field(None, description="The conversation; by default the request's `session`.")
    position: int | None = Field(None, ge=0, description="Place in the session; by default the next one.")


class TextIn(Header):
    """A text that is not a message: a fact, preference, document..."""

    kind: TextKind = "fact"
    name: Name | None = Field(None, description="Who or what it is about or from.")
    timestamp: datetime | None = Field(None, description="When it was true or happened (ISO 8601).")
    session: Name | None = None


class WriteRequest(Model):
    """1 to 1,000 items, stored in one transaction."""

    space: Name = Field("default", description="Container of the memories; made when it does not exist.")
    session: Name | None = Field(None, description="Session of the messages that name none.")
    timezone: str = Field("UTC", description="IANA zone of timestamps that carry no offset.")
    messages: list[MessageIn] = Field(default_factory=list)
    texts: list[TextIn] = Field(default_factory=list)
    wait: bool = Field(True, description="False: answer once stored; embeddings follow in the background.")


class WrittenItem(Model):
    """What became of one item, in the order sent (messages, then texts)."""

    id: UUID
    status: Literal["created", "duplicate"]
    state: State
    version: int
    chunks: int
    searchable: bool = Field(description="Its embeddings are stored; it is found by every arm.")


class Receipt(Model):
    """Proof of a write; poll `GET /v1/receipts/{id}` until `searchable`."""

    id: UUID
    space: str
    stored: int = Field(description="Items of this request that are stored, duplicates included.")
    created: int
    duplicates: int
    pending: int = Field(description="Items whose embeddings are still to come.")
    searchable: bool
    recorded_at: datetime


class WriteResponse(Model):
    """201: everything in it is committed."""

    receipt: Receipt
    items: list[WrittenItem]


class Memory(Model):
    """One MemCube record in its current version."""

    id: UUID
    space: str
    kind: Kind
    payload_type: Literal["plaintext", "activation", "parametric"]
    content: str
    role: Role | None
    name: str | None
    session: str | None
    position: int | None
    origin: str
    actor: str = Field(description="Principal that wrote it.")
    occurred_at: datetime | None
    occurred_zone: str | None
    valid_from: datetime | None = None
    valid_from_precision: Precision | None = None
    valid_to: datetime | None = Field(None, description="The first moment at which it was no longer true.")
    valid_to_precision: Precision | None = None
    superseded_by: UUID | None = None
    recorded_at: datetime = Field(description="When its first version became known.")
    updated_at: datetime = Field(description="When this version became known.")
    operation_id: UUID | None = Field(None, description="The operation that made this version.")
    state: State
    version: int
    importance: float
    strength: float
    trust: float
    access_count: int
    last_accessed_at: datetime | None
    sensitivity: str
    visibility: str
    expires_at: datetime | None
    retained_until: datetime | None = Field(None, description="The end that its space's retention policy sets.")
    legal_hold: bool
    content_hash: str = Field(description="SHA-256 of the content, hex.")
    searchable: bool
    metadata: Metadata
    packed: bool = Field(False, description="Out of the hot tier: read as ever, found by no search.")


class MemoryPage(Model):
    """One page of a listing; pass `next_cursor` as `cursor` for the next."""

    items: list[Memory]
    next_cursor: str | None


class MemoryPatch(Model):
    """Fields to change; what is left out stays. New content makes a new version."""

    content: str | None = None
    importance: float | None = Field(None, ge=0, le=1)
    metadata: Metadata | None = Field(None, description="Replaces the metadata whole.")
    timestamp: datetime | None = None
    expires_at: datetime | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    visibility: Visibility | None = None
    sensitivity: Sensitivity | None = None
    trust: float | None = Field(None, ge=0, le=1)
    timezone: str = Field("UTC", description="IANA zone of times that carry no offset.")
    reason: Reason | None = Field(None, description="Why, for the history.")


class KindRetention(Model):
    """How long one kind of memory is kept, counted from its recording."""

    ttl_days: float = Field(gt=0, le=36_500)


class Fading(Model):
    """When what nobody uses goes, by its retention (docs/forgetting.md)."""

    archive_below: float = Field(0.3, gt=0, lt=1, description="Out of recall; a deep recall still finds it.")
    forget_below: float = Field(0.05, gt=0, lt=1, description="Its content is packed away.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.forget_below > self.archive_below:
            raise ValueError("`forget_below` is above `archive_below`: a memory is archived before it is packed away")
        return self


class Capacity(Model):
    """The most that stays in recall, in any of these units; what is worth the least goes first."""

    memories: int | None = Field(None, ge=0)
    bytes: int | None = Field(None, ge=0, description="Of contents, in UTF-8.")
    tokens: int | None = Field(None, ge=0, description="About four characters each.")

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.memories is self.bytes is self.tokens is None:
            raise ValueError("names no unit: set `memories`, `bytes` or `tokens`")
        return self


class KindForgetting(Model):
    """How one kind is forgotten: it follows this `after` and not the space's, also when it has none."""

    after: Fading | None = None
    budget: Capacity | None = None


class Keeping(Model):
    """What is never forgotten, beside pinned, core, frozen and held memories and open conflicts."""

    importance: float = Field(0.9, ge=0, le=1, description="Memories of this importance or more.")
    kinds: list[Kind] = Field(default_factory=list)
    facts: bool = Field(True, description="Of each current fact, itself or one of its sources.")


class ForgetPolicy(Model):
    """What a space forgets: `{"after": {}}` stands for the default thresholds."""

    after: Fading | None = Field(None, description="Unset: nothing goes because of its age.")
    budget: Capacity | None = Field(None, description="Of all kinds together.")
    kinds: dict[Kind, KindForgetting] = Field(default_factory=dict)
    keep: Keeping = Field(default_factory=Keeping)
    pack_after_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        description="Pack away what was archived, and unused, for so long, whatever its retention.",
    )

    @model_validator(mode="after")
    def _forgets_something(self) -> Self:
        fades = self.after or self.budget or any(one.after or one.budget for one in self.kinds.values())
        if not fades and self.pack_after_days is None:
            raise ValueError("forgets nothing: set `after`, `budget` or `pack_after_days`, or leave `forget` out")
        return self


class Policies(Model):
    """What holds for a whole space."""

    ttl_days: float | None = Field(None, gt=0, le=36_500, description="How long memories are kept; unset: for ever.")
    kinds: dict[Kind, KindRetention] = Field(default_factory=dict, description="The same by kind, before `ttl_days`.")
    erase_expired_after_days: float | None = Field(
        None, ge=0, le=36_500, description="Erase for good what expired this long ago; unset: keep it, unreadable."
    )
    demote_activations_after_days: float | None = Field(
        None, gt=0, le=36_500, description="Archive activations that were not used for so long; unset: never."
    )
    core_tokens: int = Field(1000, ge=50, le=20_000, description="Most tokens of the space's core memory.")
    forget: ForgetPolicy | None = Field(None, description="What leaves recall by itself; unset: nothing ever does.")
    consolidate: Literal["auto", "off"] = Field("auto", description="off: the space is consolidated only when asked.")


class SpacePolicies(Model):
    """Set a space's policies; `open` false restricts it to its owner and those it is granted to."""

    open: bool = True
    policies: Policies = Field(default_factory=Policies)


class SpaceOut(Model):
    """A space and what it holds."""

    name: str
    memories: int
    chunks: int
    pending: int
    encoder: str | None
    owner: str | None
    open: bool
    policies: Policies
    created_at: datetime


class SpaceList(Model):
    """The tenant's spaces, by name."""

    items: list[SpaceOut]


class Storage(Model):
    """What the store takes on disk."""

    bytes: int
    memories: int


class Filters(Model):
    """Conditions that every returned memory meets; they are applied inside the query."""

    kinds: list[Kind] | None = None
    roles: list[Role] | None = None
    names: list[Name] | None = None
    sessions: list[Name] | None = None
    metadata: Metadata | None = Field(None, description="Each key must be present with this value.")
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


class RecallRequest(Model):
    """Ask for the memories that bear on a query."""

    query: str = Field(max_length=20_000)
    spaces: list[Name] = Field(default_factory=lambda: ["default"], min_length=1, max_length=50)
    k: int = Field(10, ge=1, le=500)
    filters: Filters = Field(default_factory=Filters)
    as_of_valid: datetime | None = Field(None, description="What was true then; by default what is true now.")
    as_of_known: datetime | None = Field(
        None, description="What was known then. Without `as_of_valid`, what was then held to be true."
    )
    include_superseded: bool = Field(False, description="Also what a later memory has superseded.")
    now: datetime | None = Field(None, description="The asker's clock, for `yesterday` and recency.")
    timezone: str = Field("UTC", description="The asker's IANA zone.")
    recipe: Literal["fast", "balanced", "deep", "temporal"] = "balanced"
    token_budget: int | None = Field(None, ge=1, le=1_000_000, description="Most tokens of content in total.")
    explain: bool = Field(False, description="Add scores per stage, reasons and neighbours.")


class StageReason(Model):
    """One stage's part in a result's score."""

    stage: str
    raw: float = Field(description="The stage's own value, such as a cosine or a BM25 sum.")
    contribution: float = Field(description="What it added to `score`.")


class Neighbour(Model):
    """A turn beside the result in its session."""

    id: UUID
    offset: int = Field(description="-1 is the turn before.")
    role: Role | None
    name: str | None
    content: str


class KeyFact(Model):
    """A fact that was drawn from a memory: a memory itself, with its time and names made plain."""

    id: UUID
    content: str


class RecallResult(Model):
    """One memory, why it is here and where it came from."""

    rank: int
    score: float
    memory: Memory
    snippet_start: int = Field(description="Character offset of the best chunk in the content.")
    snippet_end: int
    tokens: int
    matched_terms: list[str]
    key: KeyFact | None = Field(None, description="The fact drawn from the memory that the query found it by, if one.")
    reasons: list[StageReason] = Field(default_factory=list)
    neighbours: list[Neighbour] = Field(default_factory=list)


class RecallResponse(Model):
    """Memories, best first."""

    results: list[RecallResult]
    recipe: str
    encoder: str
    tokens: int
    candidates: int
    degraded: bool = Field(description="True when a stage was left out; `notes` says which and why.")
    notes: list[str]
    timings_ms: dict[str, float]


class ContextRequest(RecallRequest):
    """Ask for a prompt-ready block."""

    k: int = Field(50, ge=1, le=500)
    token_budget: int | None = Field(2000, ge=1, le=1_000_000)


class Citation(Model):
    """`[ref]` in the text is this memory."""

    ref: int
    id: UUID
    session: str | None
    occurred_at: datetime | None


class ContextResponse(Model):
    """A time-ordered, cited block within the token budget."""

    text: str
    citations: list[Citation]
    core: list[str] = Field(default_factory=list, description="Labels of the core memory that the text begins with.")
    tokens: int
    degraded: bool
    notes: list[str]


class Health(Model):
    """Liveness or readiness."""

    status: Literal["ok", "unavailable"]
    version: str
    checks: dict[str, str] = Field(default_factory=dict)


class Problem(BaseModel):
    """RFC 9457 problem details: the one shape of every error."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    remedy: str
    request_id: str | None = None
    errors: list[dict[str, str]] = Field(default_factory=list)
