"""Where the texts of an SVG are, as wide as they may be at most. Supports tests."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

from flowlang.pictures.measure import width

SVG = "{http://www.w3.org/2000/svg}"

Extent = tuple[str, float, float, float, float]


def texts(page: ET.Element) -> list[Extent]:
    """What is said, from left to right and from top to bottom."""
    found = []
    for one in page.iter(f"{SVG}text"):
        names = (one.get("class") or "").split()
        size, said = float(one.get("font-size") or 0), one.text or ""
        wide = width(said, size, bold="b" in names, mono="m" in names)
        x, y = float(one.get("x") or 0), float(one.get("y") or 0)
        left = x if "start" in names else x - wide if "end" in names else x - wide / 2
        found.append((said, left, left + wide, y - size * 0.75, y + size * 0.2))
    return found


def trouble(page: ET.Element) -> list[object]:
    """Texts that leave the page, and pairs of which one lies on the other."""
    wide, high = float(page.get("width") or 0), float(page.get("height") or 0)
    seen = [one for one in texts(page) if one[0].strip()]
    outside = [one for one in seen if one[1] < 0 or one[2] > wide or one[3] < 0 or one[4] > high]
    over = [
        (one, other)
        for one, other in itertools.combinations(seen, 2)
        if one[1] < other[2] and other[1] < one[2] and one[3] < other[4] and other[3] < one[4]
    ]
    return [*outside, *over]
