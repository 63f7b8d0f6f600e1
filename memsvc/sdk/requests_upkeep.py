"""What the methods on upkeep, scratches and jobs send: pure, shared by both clients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict
from uuid import UUID

from pydantic import BaseModel

from memsvc.sdk.requests import (
    Call,
    fetch,
    memory_path,
    name_segment,
    new_idempotency_key,
    post,
    read_nothing,
    segment,
    validated,
)
from memsvc.wire.compressing import CompressRequest, RestoreRequest, RestoreResponse
from memsvc.wire.conflicts import ConflictOut, Settlement
from memsvc.wire.forgetting import FeedbackRequest, FeedbackResponse, ForgetRequest
from memsvc.wire.jobs import RequeueResponse
from memsvc.wire.scratch import Overflow, ScratchDraft, ScratchLimit, ScratchState
from memsvc.wire.upkeep import UpkeepRequest, UpkeepResponse

DraftLike = ScratchDraft | Mapping[str, object] | str


class UpkeepOptions(TypedDict, total=False):
    """`UpkeepRequest`; what is left out takes the service's default."""

    space: str
    dry_run: bool
    limit: int
    reason: str | None


class ForgetOptions(UpkeepOptions, total=False):
    """`ForgetRequest`: a run, and which share of the turns it lets go instead of what the policy says."""

    share: float | None


class CompressOptions(UpkeepOptions, total=False):
    """`CompressRequest`: a run, and what it packs."""

    archived_days: float | None
    superseded: bool


class EditOptions(TypedDict, total=False):
    """Which scratch is edited, and how: `revision` is the one that it must still be at."""

    space: str
    revision: int | None
    idempotency_key: str | None


def consolidate(options: UpkeepOptions) -> Call[UpkeepResponse]:
    """`POST /v1/consolidate`."""
    return _run("consolidate", UpkeepRequest, options)


def forget(options: ForgetOptions) -> Call[UpkeepResponse]:
    """`POST /v1/forget`."""
    return _run("forget", ForgetRequest, options)


def compress(options: CompressOptions) -> Call[UpkeepResponse]:
    """`POST /v1/compress`."""
    return _run("compress", CompressRequest, options)


def restore(memory_id: UUID | str, fields: Mapping[str, object]) -> Call[RestoreResponse]:
    """`POST /v1/memories/{id}/restore`."""
    return post(f"{memory_path(memory_id)}/restore", RestoreRequest, fields, RestoreResponse, retried=False)


def feedback(memories: Sequence[UUID | str], fields: Mapping[str, object]) -> Call[FeedbackResponse]:
    """`POST /v1/feedback`; the same report again counts once, so it is retried."""
    return post("/v1/feedback", FeedbackRequest, {**fields, "memories": list(memories)}, FeedbackResponse)


def settle(conflict_id: UUID | str, fields: Mapping[str, object]) -> Call[ConflictOut]:
    """`POST /v1/conflicts/{id}/settle`; not retried, as a settled conflict refuses it."""
    return post(f"/v1/conflicts/{segment(conflict_id)}/settle", Settlement, fields, ConflictOut, retried=False)


def scratch_path(session: str) -> str:
    """The path of a session's scratch."""
    return f"/v1/scratch/{name_segment(session)}"


def edit_scratch(
    session: str, operation: str, request: type[BaseModel], fields: Mapping[str, object], options: EditOptions
) -> Call[ScratchState]:
    """`POST /v1/scratch/{session}/{operation}`, under a key, so that a retry is not a second edit."""
    unknown = sorted(options.keys() - EditOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"{operation}() has no parameter {', '.join(unknown)}")
    path = f"{scratch_path(session)}/{operation}"
    call = post(
        path,
        request,
        {name: value for name, value in fields.items() if value is not None},
        ScratchState,
        params={"space": options.get("space", "default")},
        version=options.get("revision"),
    )
    return replace(call, idempotency_key=options.get("idempotency_key") or new_idempotency_key())


def drafts(entries: Sequence[DraftLike] | str) -> list[object]:
    """Entries as the request takes them; a string is an entry's content."""
    given = [entries] if isinstance(entries, str) else entries
    return [{"content": entry} if isinstance(entry, str) else entry for entry in given]


def limit_scratch(
    session: str, token_limit: int, *, on_overflow: Overflow, space: str, revision: int | None
) -> Call[ScratchState]:
    """`PUT /v1/scratch/{session}`; with a revision not retried, as success may have made another one."""
    request = validated(ScratchLimit, {"token_limit": token_limit, "on_overflow": on_overflow})
    return replace(
        fetch(scratch_path(session), ScratchState, {"space": space}),
        method="PUT",
        body=request.model_dump_json().encode(),
        version=revision,
        retried=revision is None,
    )


def delete_scratch(session: str, *, space: str, revision: int | None) -> Call[None]:
    """`DELETE /v1/scratch/{session}`; not retried, as what is gone is not found."""
    return Call("DELETE", scratch_path(session), read_nothing, params={"space": space}, version=revision, retried=False)


def job_path(job_id: int) -> str:
    """The path of a job; anything that is no number is `ValueError`, not a request to another path."""
    return f"/v1/jobs/{job_id:d}"


def requeue(job_id: int) -> Call[RequeueResponse]:
    """`POST /v1/jobs/{id}/requeue`; not retried, as a job that is not dead refuses it."""
    return replace(fetch(f"{job_path(job_id)}/requeue", RequeueResponse), method="POST", retried=False)


def _run(name: str, request: type[BaseModel], options: Mapping[str, object]) -> Call[UpkeepResponse]:
    # Not retried: a second run would not say what the first one did, and may do more.
    return post(f"/v1/{name}", request, options, UpkeepResponse, retried=False)
