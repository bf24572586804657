"""An answer of the interface, as bytes of JSON. Knows nothing of what is in it."""

from __future__ import annotations

import msgspec
from starlette.responses import Response


def said(value: msgspec.Struct, status: int = 200) -> Response:
    """The answer that holds this."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
