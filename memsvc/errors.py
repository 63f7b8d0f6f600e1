"""The errors a caller can meet. Each carries its HTTP status, the fields at fault and a remedy.

They travel as RFC 9457 problem details; `memsvc.api.problems` renders them, the SDK raises them again.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: `field` is a path such as `messages[3].timestamp`."""

    field: str
    problem: str
    remedy: str


class MemsvcError(Exception):
    """The service could not do what was asked."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    remedy: ClassVar[str] = "Try again; if it persists, look at the service's log for this request id."

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: tuple[FieldError, ...] = (),
        remedy: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        self.fields = fields
        self.hint = remedy or type(self).remedy
        self.retry_after_s = retry_after_s
        super().__init__(self.detail)


class InvalidRequestError(MemsvcError):
    """The request does not have the right form."""

    status = 422
    code = "invalid_request"
    remedy = "Correct the fields named in `errors` and send the request again."


class UnauthenticatedError(MemsvcError):
    """No valid API key was given."""

    status = 401
    code = "unauthenticated"
    remedy = "Send `Authorization: Bearer <key>`; make a key with `memsvc keys create`."


class ForbiddenError(MemsvcError):
    """The API key's scopes do not allow this."""

    status = 403
    code = "forbidden"
    remedy = "Use a key with the scope named in `detail`."


class NotFoundError(MemsvcError):
    """There is no such thing here."""

    status = 404
    code = "not_found"
    remedy = "Check the id, and that the key belongs to the tenant that owns it."


class ConflictError(MemsvcError):
    """The request contradicts what is stored."""

    status = 409
    code = "conflict"
    remedy = "Use another id or Idempotency-Key, or send the same content again."


class PreconditionFailedError(MemsvcError):
    """The record has changed since it was read."""

    status = 412
    code = "precondition_failed"
    remedy = "Read it again, apply your change to what it is now, and send the new ETag in If-Match."


class FrozenError(MemsvcError):
    """The memory's state does not allow this."""

    status = 409
    code = "frozen"
    remedy = "Change its state first with POST /v1/memories/{id}/state; docs/lifecycle.md lists the transitions."

    @classmethod
    def of(cls, memory_id: object, state: str, *, field: str = "id") -> "FrozenError":
        """The refusal to change a memory in that state."""
        problem = f"memory {memory_id} is {state} and cannot be changed"
        return cls(problem, fields=(FieldError(field, problem, cls.remedy),))


class LegalHoldError(MemsvcError):
    """A legal hold forbids this."""

    status = 423
    code = "legal_hold"
    remedy = "Lift the hold first: PUT /v1/memories/{id}/hold with a key that has the scope `admin`."


class TooLargeError(MemsvcError):
    """The request is larger than the service accepts."""

    status = 413
    code = "too_large"
    remedy = "Split it into several requests."


class BusyError(MemsvcError):
    """The service has more work queued than it accepts."""

    status = 429
    code = "busy"
    remedy = "Wait for the seconds in Retry-After and send the request again."


class EncoderUnavailableError(MemsvcError):
    """The encoder does not answer."""

    status = 503
    code = "encoder_unavailable"
    remedy = "Writes are stored and embedded later; for recall, wait for Retry-After seconds and try again."


class EncoderMismatchError(MemsvcError):
    """The store holds vectors of another encoder."""

    status = 503
    code = "encoder_mismatch"
    remedy = "Set MEMSVC_ENCODER back to the encoder named in `detail`, or use another database."


class DatabaseUnavailableError(MemsvcError):
    """The database does not answer."""

    status = 503
    code = "database_unavailable"
    remedy = "Nothing was lost; wait for Retry-After seconds and send the request again."


class ConfigurationError(MemsvcError):
    """A setting cannot be used."""

    code = "configuration"
    remedy = "Correct the setting named in `detail`; docs/configuration.md lists them all."


class QuotaExceededError(MemsvcError):
    """The tenant may not store more bytes."""

    status = 507
    code = "quota_exceeded"
    remedy = "Delete activations that are no longer used, or have MEMSVC_BLOB_QUOTA_BYTES raised."


class BlobMissingError(MemsvcError):
    """The blob's record is there, but the blob store does not hold its bytes."""

    code = "blob_missing"
    remedy = "Upload the same bytes again with PUT /v1/blobs/{sha256}: that repairs it."


class BlobCorruptError(MemsvcError):
    """The blob store's bytes are not those that were stored."""

    code = "blob_corrupt"
    remedy = "Upload the same bytes again with PUT /v1/blobs/{sha256}: that repairs it."


class PackCorruptError(MemsvcError):
    """A pack does not hold what was packed into it."""

    code = "pack_corrupt"
    remedy = "Nothing was changed. Bring the space back from a backup or a bundle, and look at the database's storage."


class BlobStoreUnavailableError(MemsvcError):
    """The blob store does not answer."""

    status = 503
    code = "blob_store_unavailable"
    remedy = "Nothing was lost; wait for Retry-After seconds and send the request again."
