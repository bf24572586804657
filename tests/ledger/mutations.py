"""Every small change of canonical bytes: at each node of the MessagePack tree, and each bit.

Knows nothing of what the bytes mean but where bytes hold MessagePack themselves.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec


class Packed:
    """Bytes that are MessagePack of a tree."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree


def tree_of(data: bytes, packed: bool = True) -> Any:
    """The tree; bytes that are MessagePack of a list are trees again."""
    return _opened(msgspec.msgpack.decode(data), packed)


def _opened(value: Any, packed: bool) -> Any:
    if isinstance(value, list):
        return [_opened(item, packed) for item in value]
    if packed and isinstance(value, bytes) and value[:1] and 0x90 <= value[0] <= 0xDD:
        try:
            inner = msgspec.msgpack.decode(value)
        except (msgspec.MsgspecError, ValueError):
            return value
        if isinstance(inner, list):
            return Packed(_opened(inner, packed))
    return value


def packed(tree: Any) -> bytes:
    return msgspec.msgpack.encode(_closed(tree))


def _closed(tree: Any) -> Any:
    if isinstance(tree, Packed):
        return packed(tree.tree)
    if isinstance(tree, list):
        return [_closed(item) for item in tree]
    if isinstance(tree, dict):
        return {key: _closed(value) for key, value in tree.items()}
    return tree


def mutations(data: bytes, nested: bool = True) -> Iterator[tuple[str, bytes]]:
    """What was done and the bytes, for every change, drop, duplicate, swap and retype."""
    tree = tree_of(data, nested)
    assert packed(tree) == data, "the tree is written as it was read"
    for path, other in _changed(tree):
        made = packed(other)
        if made != data:
            yield path, made


def count(data: bytes) -> int:
    """How many changes there are, those that come to the same bytes among them."""
    return sum(1 for _ in _changed(tree_of(data)))


def mutation(data: bytes, number: int) -> tuple[str, bytes]:
    """The change of that number, or the last one: what `mutations` has too, without making those
    before it."""
    tree = tree_of(data)
    assert packed(tree) == data, "the tree is written as it was read"
    path, other = collections.deque(itertools.islice(_changed(tree), number + 1), maxlen=1)[0]
    return path, packed(other)


def _changed(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Packed):
        for path, other in _changed(node.tree):
            yield f"<{path}>", Packed(other)
        raw = packed(node.tree)
        yield "packed is text", raw.hex()
        yield "packed behind junk", raw + b"\x00"
        return
    for number, other in enumerate(_values_near(node)):
        yield f"={number}", other
    if isinstance(node, list):
        for i, item in enumerate(node):
            for path, other in _changed(item):
                yield f"[{i}]{path}", [*node[:i], other, *node[i + 1 :]]
            yield f"[{i}] dropped", node[:i] + node[i + 1 :]
            yield f"[{i}] twice", [*node[: i + 1], *node[i:]]
            if i + 1 < len(node):
                yield f"[{i}] swapped", [*node[:i], node[i + 1], item, *node[i + 2 :]]


def _values_near(node: Any) -> list[Any]:
    match node:
        case None:
            return [0, False, b"", [], 1]
        case bool():
            return [not node, int(node)]
        case int():
            return [node + 1, node - 1, -node, str(node), float(node), None, 2**64 - 1, -(2**63)]
        case bytes():
            near = [node + b"\x00", b"", node.hex(), [*node[:3]], None, node[1:], node[:-1]]
            if node:
                near += [bytes([node[0] ^ 1]) + node[1:], node[:-1] + bytes([node[-1] ^ 0x80])]
            return near
        case str():
            near = [f"{node}x", "", node.encode(), node.upper(), node.lower(), f" {node}", 7, None]
            return [*near, f"{node}\n", f"\u202e{node}", "x" * 1000]
        case list():
            return [[], None, [node], {0: node}, b""]
    return [None, 0]


def flips(data: bytes) -> Iterator[bytes]:
    """Each bit turned, one at a time."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
