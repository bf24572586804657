"""The OpenAPI 3.1 document of the interface: its operations, and the types of the flows that the
caller may start. Serves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from flowrt.api import bodies
from flowrt.api.interface import parameters, startable, version
from flowrt.api.reading import Schemas
from flowrt.api.routing import Call, Operation, Parameter
from flowrt.api.trouble import CODES, Failed
from flowrt.core.registry import AnyFlow

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "#/components/schemas/"
_EVENT = {
    "type": "object",
    "description": "one event of the stream; `data` is JSON",
    "properties": {
        "event": {"enum": ["progress", "tree", "over"]},
        "id": {"type": "string"},
        "data": {"type": "string"},
        "retry": {},
    },
}
_ID = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_PATH: Mapping[str, dict[str, Any]] = {
    "id": _ID,
    "flow": _ID,
    "number": _ID,
    "name": {"type": "string", "minLength": 1},
}


def document(operations: Sequence[Operation], kinds: Sequence[AnyFlow]) -> dict[str, Any]:
    """The document of these operations, for who may start these flows."""
    structs = {one for operation in operations for one in _structs(operation)}
    ordered = sorted({*structs, Failed}, key=lambda one: str(one.__name__))
    _, parts = msgspec.json.schema_components(ordered, ref_template=_PREFIX + "{name}")
    schemas = Schemas(_PREFIX)
    schemas.parts = dict(parts)
    if kinds:
        schemas.parts["StartFlow"] = {"oneOf": [_start(kind, schemas) for kind in kinds]}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "A node of flows",
            "version": version(),
            "description": "Flows of one party: started, watched, answered, operated.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.parts,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _structs(operation: Operation) -> list[Any]:
    return [one for one in (operation.body, *operation.answers.values()) if one not in (None, str)]


def _start(kind: AnyFlow, schemas: Schemas) -> dict[str, Any]:
    """How a request starts one flow: its name, and its own arguments."""
    arguments = parameters(kind, schemas)
    needed = ["arguments"] if arguments["required"] else []
    return {
        "type": "object",
        "title": kind.name,
        "properties": {
            "flow": {"const": kind.name},
            "arguments": arguments,
            "client": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 400}, _NULL]},
        },
        "required": ["flow", *needed],
        "additionalProperties": False,
    }


_NULL = {"type": "null"}


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.about,
        "parameters": [*_path_parameters(one), *map(_parameter, one.query)],
        "responses": {str(status): _answer(one, status, of) for status, of in one.answers.items()},
    }
    if one.needs:
        found["description"] = f"Needs: {one.needs}."
    else:
        found["security"] = []
    if one.content == "text/event-stream":
        found["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
                "description": "the last event that you have",
            }
        )
    if one.body is not None:
        schema = {"$ref": f"{_PREFIX}{one.body.__name__}"}
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"required": not one.body_optional, "content": content}
    known = (401, 403) if one.needs else ()
    for status in sorted({400, 421, 431, 503, *known, *one.refusals} - {*one.answers}):
        said = {"application/json": {"schema": {"$ref": f"{_PREFIX}Failed"}}}
        found["responses"][str(status)] = {"description": CODES[status], "content": said}
    return found


def _answer(one: Operation, status: int, of: Any) -> dict[str, Any]:
    text = (of.__doc__ or "").strip() if of is not str else one.about
    schema: dict[str, Any] = {"$ref": f"{_PREFIX}{of.__name__}"}
    if of is str:
        schema = dict(_EVENT) if one.content == "text/event-stream" else {"type": "string"}
    return {"description": text, "content": {one.content: {"schema": schema}}}


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in one.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _PATH[name]} for name in names]


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any]
    if one.kind is int:
        schema = {"type": "integer", "minimum": one.least, "maximum": one.most}
    elif one.kind is bool:
        schema = {"type": "boolean"}
    elif one.choices:
        schema = {"type": "string", "enum": list(one.choices)}
    else:
        pattern = one.pattern or "[^\\x00]*"
        schema = {"type": "string", "maxLength": 500, "pattern": f"^{pattern}$"}
    return {"name": one.name, "in": "query", "schema": schema, "description": one.about}


async def read_document(call: Call) -> Response:
    kinds = startable(call.node.registry, lambda name: call.caller.may("start", name))
    made = document(call.app.operations, kinds)
    return Response(msgspec.json.encode(made), media_type="application/json")


OPERATIONS = (
    Operation(
        "GET",
        "/openapi.json",
        read_document,
        "This document, with the types of the flows that you may start.",
        {200: bodies.Document},
        "nothing but to be known",
    ),
)
