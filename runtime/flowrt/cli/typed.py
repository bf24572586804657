"""Values that people type, by the JSON Schema that a node tells of them. Asks nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowrt.serving.troubles import Refused, Trouble, nearest, refused

Schema = Mapping[str, Any]

_YES = {"true": True, "yes": True, "false": False, "no": False}


class Reader:
    """Reads text as values; `parts` are the types that schemas name."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._parts = parts

    def resolved(self, schema: Schema) -> Schema:
        """The schema itself, where another names it."""
        while "$ref" in schema:
            schema = self._parts[str(schema["$ref"]).rpartition("/")[2]]
        return schema

    def fields(self, schema: Schema, given: Mapping[str, str], of: str) -> dict[str, Any]:
        """Values of a record's fields. Raises Refused, with all that is wrong."""
        schema = self.resolved(schema)
        known: Mapping[str, Schema] = schema.get("properties", {})
        troubles, found = [], {}
        for name, text in given.items():
            if name not in known:
                near = nearest(name, known) or "it takes nothing"
                troubles.append(Trouble(of, name, "there is no such name", near))
                continue
            try:
                found[name] = self.value(known[name], text, of, name)
            except Refused as error:
                troubles += error.troubles
        for name in schema.get("required", ()):
            if name not in given and not any(t.key != name for t in troubles):
                remedy = f"write {name}={self.example(known[name])}"
                troubles.append(Trouble(of, name, "it is missing", remedy))
        if troubles:
            raise Refused(troubles)
        return found

    def value(self, schema: Schema, text: str, of: str, name: str) -> Any:
        """One value. Raises Refused."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            if text in ("none", "null"):
                return None
            return self.value(schema["anyOf"][0], text, of, name)
        if "oneOf" in schema:
            return self._case(schema["oneOf"], text, of, name)
        kind = schema.get("type")
        if kind == "string":
            return text
        if kind == "integer":
            digits = text.replace("_", "")
            if not digits.removeprefix("-").isdecimal() or not digits.isascii():
                raise refused(of, f"{text!r} is no whole number", "write one such as 5", name)
            return int(digits)
        if kind == "boolean":
            if text.lower() not in _YES:
                raise refused(of, f"{text!r} is neither", "write yes or no", name)
            return _YES[text.lower()]
        if kind == "array":
            return self._array(schema, text, of, name)
        if kind == "object" and set(schema.get("properties", ())) == {"units", "currency"}:
            return self._amount(text, of, name)
        if kind == "object":
            return _json(text, of, name, self.example(schema))
        return guessed(text)

    def _array(self, schema: Schema, text: str, of: str, name: str) -> Any:
        if text.startswith("["):
            return _json(text, of, name, self.example(schema))
        return [
            self.value(schema["items"], one.strip(), of, name) for one in text.split(",") if one
        ]

    def _case(self, cases: list[Schema], text: str, of: str, name: str) -> Any:
        if text.startswith("{"):
            return _json(text, of, name, "{}")
        plain = [str(one["const"]) for one in cases if "const" in one]
        if text in plain:
            return text
        full = [next(iter(one["properties"])) for one in cases if "properties" in one]
        if text in full:
            remedy = f"write '{{\"{text}\": {{…}}}}'"
            raise refused(of, f"{text} has fields", remedy, name)
        raise refused(of, f"there is no {text!r}", nearest(text, [*plain, *full]), name)

    def _amount(self, text: str, of: str, name: str) -> Any:
        if text.startswith("{"):
            return _json(text, of, name, "1000.00 EUR")
        from flowrt.core.values import plain
        from flowrt.finance.currencies import parse
        from flowrt.ledger.problems import LedgerError

        try:
            return plain(parse(text))
        except LedgerError as error:
            raise refused(of, str(error), 'write it as "1000.00 EUR"', name) from None

    def example(self, schema: Schema) -> str:
        """What could be written."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            return self.example(schema["anyOf"][0])
        if "oneOf" in schema:
            one = schema["oneOf"][0]
            return str(one["const"]) if "const" in one else json.dumps({next(iter(one)): {}})
        kind = schema.get("type")
        if kind == "object" and set(schema.get("properties", ())) == {"units", "currency"}:
            return '"1000.00 EUR"'
        if kind == "array":
            return "VALUE,VALUE"
        if kind == "object":
            names = schema.get("properties", {})
            return "'{" + ", ".join(f'"{one}": …' for one in names) + "}'"
        return {"integer": "5", "boolean": "yes"}.get(str(kind), "TEXT")


def guessed(text: str) -> Any:
    """A value whose type is not known: what looks like a whole number or JSON is that, all else is
    text."""
    if text in ("true", "false", "null") or text.startswith(("{", "[", '"')):
        try:
            return json.loads(text)
        except ValueError:
            return text
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() else text


def _json(text: str, of: str, name: str, example: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise refused(of, "it is no JSON", f"write it as {example}", name) from None
