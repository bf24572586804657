"""MessagePack taken apart, spoiled, and put together again. Knows no frame and no checkpoint.

A value that itself is bytes of MessagePack (a message's body in a frame) is taken apart as well, so
that spoiling reaches what a flow reads.
"""

from __future__ import annotations

import dataclasses
import random
import struct

Tree = "Array | Map | Packed | bytes"
"""A value taken apart; bytes are a scalar as it is written, header included."""


@dataclasses.dataclass
class Array:
    items: list[object]
    lie: int = 0
    """How much more than there is the header tells."""


@dataclasses.dataclass
class Map:
    entries: list[list[object]]
    lie: int = 0


@dataclasses.dataclass
class Packed:
    """Bytes that hold a value."""

    value: object


class NotPacked(Exception):
    """These bytes are not one value."""


_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
          0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3,
          0xD6: 5, 0xD7: 9, 0xD8: 17}  # fmt: skip
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
          0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}  # fmt: skip
_MANY = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def parsed(data: bytes, deep: int = 0) -> object:
    """The value in `data`, taken apart. Raises NotPacked."""
    value, end = _value(data, 0, deep)
    if end != len(data):
        raise NotPacked
    return value


def _value(data: bytes, at: int, deep: int) -> tuple[object, int]:
    if at >= len(data) or deep > 40:
        raise NotPacked
    first = data[at]
    if first in _MANY or 0x80 <= first < 0xA0:
        width = _MANY.get(first, 0)
        count = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else first & 0x0F
        is_map = first in (0xDE, 0xDF) or first < 0x90
        return _many(data, at + 1 + width, count * (2 if is_map else 1), is_map, deep)
    if first <= 0x7F or first >= 0xE0:
        end = at + 1
    elif first < 0xC0:
        end = at + 1 + (first & 0x1F)
    elif first in _FIXED:
        end = at + 1 + _FIXED[first]
    elif first in _SIZED:
        width, more = _SIZED[first]
        end = at + 1 + width + more + int.from_bytes(data[at + 1 : at + 1 + width], "big")
    else:
        raise NotPacked
    if end > len(data):
        raise NotPacked
    if first in (0xC4, 0xC5, 0xC6):
        inner = data[at + 1 + _SIZED[first][0] : end]
        try:
            if len(inner) > 1:
                return Packed(parsed(inner, deep + 1)), end
        except NotPacked:
            pass
    return data[at:end], end


def _many(data: bytes, at: int, count: int, is_map: bool, deep: int) -> tuple[object, int]:
    if count > len(data):
        raise NotPacked
    found: list[object] = []
    for _ in range(count):
        item, at = _value(data, at, deep + 1)
        found.append(item)
    if is_map:
        return Map([[found[n], found[n + 1]] for n in range(0, len(found), 2)]), at
    return Array(found), at


def written(tree: object) -> bytes:
    """The bytes of a value that was taken apart."""
    match tree:
        case Array(items=items, lie=lie):
            return _head(len(items) + lie, 0x90, 0xDC) + b"".join(map(written, items))
        case Map(entries=entries, lie=lie):
            inner = b"".join(written(part) for entry in entries for part in entry)
            return _head(len(entries) + lie, 0x80, 0xDE) + inner
        case Packed(value=value):
            inner = written(value)
            return b"\xc6" + struct.pack(">I", len(inner)) + inner
        case bytes():
            return tree
        case _:
            raise AssertionError(tree)


def _head(count: int, short: int, long: int) -> bytes:
    count = max(0, count)
    if count < 16:
        return bytes([short + count])
    if count < 1 << 16:
        return bytes([long]) + struct.pack(">H", count)
    return bytes([long + 1]) + struct.pack(">I", count & 0xFFFF_FFFF)


def _text(data: bytes) -> bytes:
    return b"\xdb" + struct.pack(">I", len(data)) + data


def _integer(value: int) -> bytes:
    return b"\xd3" + struct.pack(">q", value) if value < 0 else b"\xcf" + struct.pack(">Q", value)


ODD: list[bytes] = [
    b"\xc0", b"\xc2", b"\xc3", b"\x00", b"\x01", b"\xff", b"\x7f", b"\xc1",
    *(_integer(n) for n in (-1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))),
    *(b"\xcb" + struct.pack(">d", n) for n in (0.0, -0.0, 1.0, 1e300, float("nan"), float("inf"))),
    b"\xca\x7f\x80\x00\x00",
    *map(_text, (b"", b"a", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00")),
    *map(_text, (b"\xf8\x88\x80\x80\x80",)),
    *map(_text, (b"NaN", b"sNaN", b"-Infinity", b"1e999999", b"9" * 400, b"-0", b"1e-39", b"+1")),
    *map(_text, (b"hand.Ask", b"builtins.eval", b"../../x", b"x" * 5000, "ﬁ".encode())),
    *map(_text, (b"2026-01-31T12:00:00Z", b"2026-01-31T12:00:00", b"9999-12-31T23:59:59Z")),
    *map(_text, (b"PT1S", b"-P999999999D", b"P9999999999999Y", b"0001-01-01T00:00:00+23:59")),
    b"\xc4\x00", b"\xc4\x10" + bytes(16), b"\xc4\x0f" + bytes(15), b"\xc6\xff\xff\xff\xff",
    b"\xd6\xff\x00\x00\x00\x00", b"\xd7\xff" + b"\xff" * 8, b"\xc7\x0c\xff" + b"\x7f" * 12,
    b"\xd4\x63\x00", b"\xc9\xff\xff\xff\xff\x01",
    b"\x90", b"\x80", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\x91" * 40 + b"\x00", b"\x91" * 3000 + b"\x00", b"\x81\x00" * 60 + b"\x00",
    b"\xdc\x03\xe8" + b"\xc0" * 1000, b"\xdc\x03\xe8" + b"\x90" * 1000,
    b"\x82\xa1a\x01\xa1a\x02",
]  # fmt: skip
"""Values that belong nowhere, or nowhere else; some are not values at all."""


def spoiled(data: bytes, choose: random.Random, others: list[bytes]) -> bytes:
    """`data` with one to four things wrong in it. `others` are whole values to take parts from."""
    try:
        tree = parsed(data)
    except NotPacked:
        return _by_byte(data, choose)
    if choose.random() < 0.15:
        return _by_byte(data, choose)
    for _ in range(choose.choice((1, 1, 1, 2, 2, 4))):
        tree = _changed(tree, choose, others)
    found = written(tree)
    return _by_byte(found, choose) if choose.random() < 0.05 else found


def _by_byte(data: bytes, choose: random.Random) -> bytes:
    found = bytearray(data or b"\x00")
    for _ in range(choose.choice((1, 1, 2, 4))):
        at = choose.randrange(len(found) + 1)
        match choose.randrange(5):
            case 0:
                found[at : at + 1] = bytes([choose.randrange(256)])
            case 1:
                found.insert(at, choose.randrange(256))
            case 2 if at < len(found):
                found[at] ^= 1 << choose.randrange(8)
            case 3:
                del found[at:]
            case _:
                found[at : at + choose.randrange(9)] = b""
    return bytes(found)


def _places(tree: object) -> list[tuple[object, int]]:
    """Every place of a value, as what holds it and its index there."""
    found: list[tuple[object, int]] = []
    waiting = [tree]
    while waiting:
        at = waiting.pop()
        held: list[object] = []
        match at:
            case Array(items=items):
                held = items
            case Map(entries=entries):
                held = [part for entry in entries for part in entry]
            case Packed(value=value):
                held = [value]
        found += [(at, index) for index in range(len(held))]
        waiting += held
    return found


def _get(holder: object, index: int) -> object:
    match holder:
        case Array(items=items):
            return items[index]
        case Map(entries=entries):
            return entries[index // 2][index % 2]
        case Packed(value=value):
            return value
    raise AssertionError(holder)


def _set(holder: object, index: int, value: object) -> None:
    match holder:
        case Array(items=items):
            items[index] = value
        case Map(entries=entries):
            entries[index // 2][index % 2] = value
        case Packed():
            holder.value = value


def _changed(tree: object, choose: random.Random, others: list[bytes]) -> object:
    places = _places(tree)
    if not places:
        return choose.choice(ODD)
    holder, index = choose.choice(places)
    value = _get(holder, index)
    match choose.randrange(10):
        case 0 | 1 | 2:
            _set(holder, index, choose.choice(ODD))
        case 3:
            _set(holder, index, _near(value, choose))
        case 4:
            _set(holder, index, _get(*choose.choice(places)))
        case 5:
            _set(holder, index, Array([value]) if choose.random() < 0.5 else Packed(value))
        case 6:
            try:
                parts = _places(parsed(choose.choice(others)))
            except NotPacked:
                parts = []
            if parts:
                _set(holder, index, _get(*choose.choice(parts)))
        case _:
            _reshape(holder, index, choose)
    return _cut(tree)


def _reshape(holder: object, index: int, choose: random.Random) -> None:
    """One item more, one less, one twice, two swapped, or a lie about their number."""
    match holder:
        case Array(items=held):
            pass
        case Map(entries=held):  # type: ignore[assignment]
            index //= 2
        case _:
            return
    match choose.randrange(6):
        case 0:
            del held[index]
        case 1:
            held.insert(index, held[index])
        case 2:
            other = choose.randrange(len(held))
            held[index], held[other] = held[other], held[index]
        case 3:
            holder.lie = choose.choice((-1, 1, 2, 1000, 1 << 24, 1 << 31))
        case 4:
            held *= choose.choice((2, 20))
        case _:
            del held[index:]


def _near(value: object, choose: random.Random) -> object:
    """The same, but for a little."""
    if not isinstance(value, bytes) or not value:
        return value
    first = value[0]
    if first <= 0x7F:
        return _integer(max(0, first + choose.choice((-1, 1, 2, 63, 64, 65, 1_000_000))))
    if first in _FIXED and _FIXED[first] in (1, 2, 4, 8) and 0xCC <= first <= 0xD3:
        number = int.from_bytes(value[1:], "big", signed=first >= 0xD0)
        step = choose.choice((-1, 1, 64, 10**6, 10**12))
        return _integer(min(max(number + step, -(2**63)), 2**64 - 1))
    found = bytearray(value)
    at = choose.randrange(len(found))
    found[at] ^= 1 << choose.randrange(8)
    return bytes(found)


_LARGEST = 200_000


def _cut(tree: object) -> object:
    """Nothing that doubles itself grows beyond any use."""
    return tree if _size(tree) < _LARGEST else b"\xc0"


def _size(tree: object) -> int:
    total = 0
    waiting = [(tree, 0)]
    while waiting and total < _LARGEST:
        at, deep = waiting.pop()
        if deep > 60:
            return _LARGEST
        match at:
            case Array(items=items):
                total += 3
                waiting += [(item, deep + 1) for item in items]
            case Map(entries=entries):
                total += 3
                waiting += [(part, deep + 1) for entry in entries for part in entry]
            case Packed(value=value):
                total += 5
                waiting.append((value, deep + 1))
            case bytes():
                total += len(at)
    return total
