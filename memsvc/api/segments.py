"""Paths as they were sent: a `/` in a name is percent-encoded, and the name is one segment all the same."""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.routing import Match

Scope = MutableMapping[str, Any]
# Decoding gives it for nothing: it stands for a `/` that belongs to a name while the path is matched.
SLASH = "\ud800"


class SegmentRoute(APIRoute):
    """A route that matches `/v1/scratch/a%2Fb` as the scratch of the session `a/b`; the server decodes it too early."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is this route's, and its parameters."""
        raw = scope.get("raw_path") or b""
        if scope["type"] != "http" or b"%2f" not in raw.lower():
            return super().matches(scope)
        parts = [unquote(part).replace("/", SLASH) for part in raw.decode("ascii", "replace").split("/")]
        match, found = super().matches({**scope, "path": "/".join(parts)})
        if "path_params" in found:
            found["path_params"] = {name: _with_slash(value) for name, value in found["path_params"].items()}
        return match, found


def _with_slash(value: object) -> object:
    return value.replace(SLASH, "/") if isinstance(value, str) else value
