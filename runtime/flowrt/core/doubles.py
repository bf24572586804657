"""Whether a map in MessagePack has a key twice. Knows no type, builds no value.

Decoders keep the last of two entries; another reader could keep the first, and two who read one
message would have read two (W13 of docs/conformance.md).
"""

from __future__ import annotations

from typing import Final

import msgspec

# By an item's first byte, above those that say all by themselves: bytes of its length, and bytes of
# content where that has a fixed length.
_SIZED: Final = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4,
}  # fmt: skip
_FIXED: Final = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_LISTS: Final = {0xDC: 2, 0xDD: 4}
_MAPS: Final = {0xDE: 2, 0xDF: 4}


def has_a_key_twice(data: bytes) -> bool:
    """Whether any map in these bytes, which a decoder has taken, has one key twice, in whatever
    form. Keys are texts and numbers, as the language has them; others are not compared."""
    at, end = 0, len(data)
    left, keys = 1, None  # What is to come of the innermost list or map, and its keys so far.
    outer: list[tuple[int, set[object] | None]] = []
    while at < end:
        while left == 0:
            if not outer:
                return False
            left, keys = outer.pop()
        is_key = keys is not None and left % 2 == 0
        left -= 1
        begin, first = at, data[at]
        at += 1
        inside = -1
        if first <= 0x7F or first >= 0xE0 or 0xC0 <= first <= 0xC3:
            pass
        elif first <= 0x8F:
            inside = 2 * (first & 0x0F)
        elif first <= 0x9F:
            inside = first & 0x0F
        elif first <= 0xBF:
            at += first & 0x1F
        elif first in _FIXED:
            at += _FIXED[first]
        elif first in _SIZED:
            size = _SIZED[first]
            at += size + int.from_bytes(data[at : at + size]) + (0xC7 <= first <= 0xC9)
        else:
            is_map = first in _MAPS
            size = _MAPS[first] if is_map else _LISTS[first]
            inside = int.from_bytes(data[at : at + size]) * (1 + is_map)
            at += size
        if inside >= 0:
            outer.append((left, keys))
            left, keys = inside, set() if first <= 0x8F or first in _MAPS else None
        elif is_key and keys is not None:
            key = msgspec.msgpack.decode(data[begin:at])
            if key in keys:
                return True
            keys.add(key)
    return False
