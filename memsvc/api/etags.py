"""ETag and If-Match: a memory's version as an entity tag, so that a lost update is a 412 and never silent."""

import re
from typing import Annotated

from fastapi import Header, Response

from memsvc.errors import FieldError, InvalidRequestError

_TAG = re.compile(r'(?:W/)?"(\d{1,9})"')

IfMatch = Annotated[str | None, Header(max_length=64, description='The ETag that was read, such as "3".')]


def set_etag(response: Response, version: int) -> None:
    """Say which version the answer shows."""
    response.headers["ETag"] = f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version in an If-Match header; None without one, or with `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        fault = FieldError("If-Match", "is not an ETag of this service", 'Send the ETag that you read, such as "3".')
        raise InvalidRequestError("If-Match cannot be used", fields=(fault,))
    return int(found[1])
