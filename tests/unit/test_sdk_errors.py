"""The service's problem details come back as exceptions that read well."""

from datetime import UTC, datetime

import httpx
import pytest
from sdk_samples import PROBLEM

from memsvc import errors as service_errors
from memsvc.sdk import errors
from memsvc.sdk.errors import ApiError, MemsvcClientError, error_from_response

NOW = datetime(2024, 5, 7, tzinfo=UTC)


def answer(status: int, **content: object) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "http://memsvc.test/v1/spaces"), **content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "InvalidRequest"),
        (401, "Unauthenticated"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "Conflict"),
        (413, "TooLarge"),
        (422, "InvalidRequest"),
        (429, "Busy"),
        (500, "ApiError"),
        (502, "Unavailable"),
        (503, "Unavailable"),
        (504, "Unavailable"),
    ],
)
def test_the_status_chooses_the_class(status: int, name: str) -> None:
    error = error_from_response(answer(status, json=PROBLEM), now=NOW)
    assert type(error).__name__ == name
    assert isinstance(error, ApiError)
    assert isinstance(error, MemsvcClientError)
    assert error.status == status


def test_every_error_of_the_service_has_a_class() -> None:
    statuses = {error.status for error in service_errors.MemsvcError.__subclasses__()} - {500}
    for status in statuses:
        assert type(error_from_response(answer(status, json=PROBLEM), now=NOW)) is not ApiError


def test_str_says_what_where_and_what_to_do() -> None:
    assert str(error_from_response(answer(422, json=PROBLEM), now=NOW)) == (
        "The request does not have the right form.\n"
        "- messages[3].timestamp: is no date (Write it as ISO 8601.)\n"
        "Correct the fields.\n"
        "Request id: r-1"
    )


def test_fields_are_kept() -> None:
    error = error_from_response(answer(422, json=PROBLEM, headers={"Retry-After": "4"}), now=NOW)
    assert (error.code, error.request_id, error.retry_after_s) == ("invalid_request", "r-1", 4.0)
    assert error.errors == (errors.FieldProblem("messages[3].timestamp", "is no date", "Write it as ISO 8601."),)


def test_a_proxys_page_is_quoted_shortly() -> None:
    error = error_from_response(answer(502, html="<h1>Bad\n gateway</h1>" + "x" * 500), now=NOW)
    assert str(error).startswith("http://memsvc.test/v1/spaces answered 502: <h1>Bad gateway</h1>xx")
    assert len(error.detail) < 300
    assert "MEMSVC_URL" in error.remedy


def test_an_empty_body() -> None:
    assert "(an empty body)" in str(error_from_response(answer(404), now=NOW))
