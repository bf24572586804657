"""Elements of SVG, and the colours of all pictures, for light and dark. Knows no picture.

No script, no link, no font that has to be there. Lines are strokes and arrow heads are shapes, so a
picture has no ids that could clash with those of another one on the same page.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from flowlang.diagnostics import printable
from flowlang.pictures.measure import is_certain, width

_LIGHT = {
    "ground": "#ffffff",
    "ink": "#1c2330",
    "soft": "#5a6474",
    "line": "#77839a",
    "faint": "#c3cad6",
    "box": "#f2f5fa",
    "blue": "#2457c5",
    "blue-box": "#e6eefc",
    "green": "#21703f",
    "green-box": "#e3f3e8",
    "red": "#b3261e",
    "red-box": "#fbe9e7",
    "amber": "#8a5a00",
    "amber-box": "#fdf2d8",
}
_DARK = {
    "ground": "#14181f",
    "ink": "#e6eaf1",
    "soft": "#9fabbd",
    "line": "#8592a8",
    "faint": "#3b4454",
    "box": "#1f2631",
    "blue": "#8fb4ff",
    "blue-box": "#1b2a48",
    "green": "#7fd19b",
    "green-box": "#17301f",
    "red": "#ff9d94",
    "red-box": "#3c1d1b",
    "amber": "#f0c060",
    "amber-box": "#382b0f",
}

FONT = "sans-serif"
MONO = "monospace"


@dataclasses.dataclass(frozen=True)
class Style:
    """Letters: their size in pixels, colour by its name here."""

    size: float
    colour: str = "ink"
    bold: bool = False
    mono: bool = False

    def width(self, text: str) -> float:
        return width(text, self.size, bold=self.bold, mono=self.mono)


def escaped(text: str) -> str:
    """Text that XML takes for nothing but text, in elements and in attributes."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace(">", "&gt;").replace('"', "&quot;")


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def text(
    x: float, y: float, said: str, style: Style, anchor: str = "middle", *, halo: bool = False
) -> str:
    """One line of text; `y` is its base line. `anchor` is start, middle or end. A `halo` keeps
    lines behind it away."""
    said = printable(said)
    names = [f"t-{style.colour}", *(["b"] if style.bold else []), *(["m"] if style.mono else [])]
    names += ["halo s-ground"] if halo else []
    names += [] if anchor == "middle" else [anchor]
    # Letters of which nobody knows how wide they are get the room that was measured, and no more.
    forced = (
        ""
        if is_certain(said) or not said
        else f' textLength="{number(style.width(said))}" lengthAdjust="spacingAndGlyphs"'
    )
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(style.size)}"'
        f' class="{" ".join(names)}"{forced}>{escaped(said)}</text>'
    )


def box(
    x: float, y: float, wide: float, high: float, names: str, round_: float = 4, inner: str = ""
) -> str:
    """A rectangle; `names` are classes (`f-…` fills, `s-…` strokes)."""
    head = (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(wide)}" height="{number(high)}"'
        f' rx="{number(round_)}" class="{names}"'
    )
    return f"{head}>{inner}</rect>" if inner else f"{head}/>"


def line(points: Sequence[tuple[float, float]], names: str, round_: float = 0) -> str:
    """A line through the points, its corners rounded."""
    kept = [p for number_, p in enumerate(points) if not number_ or p != points[number_ - 1]]
    path = [f"M{number(kept[0][0])} {number(kept[0][1])}"]
    for before, at, after in zip(kept, kept[1:], kept[2:], strict=False):
        radius = min(round_, math.dist(before, at) / 2, math.dist(at, after) / 2)
        (ax, ay), (bx, by) = _towards(at, before, radius), _towards(at, after, radius)
        if radius < 0.5:
            path.append(f"L{number(at[0])} {number(at[1])}")
        else:
            path.append(f"L{number(ax)} {number(ay)}")
            path.append(f"Q{number(at[0])} {number(at[1])} {number(bx)} {number(by)}")
    path.append(f"L{number(kept[-1][0])} {number(kept[-1][1])}")
    return f'<path d="{"".join(path)}" class="{names}"/>'


def head(
    at: tuple[float, float], towards: tuple[float, float], colour: str, *, open_: bool = False
) -> str:
    """The head of an arrow that arrives `at` a point, flying in the direction `towards`."""
    (x, y), (dx, dy) = at, towards
    length, half = 8.0, 3.6
    left = (x - dx * length - dy * half, y - dy * length + dx * half)
    right = (x - dx * length + dy * half, y - dy * length - dx * half)
    corners = " ".join(f"{number(a)},{number(b)}" for a, b in (left, (x, y), right))
    if open_:
        return f'<polyline points="{corners}" class="s-{colour}"/>'
    return f'<polygon points="{corners}" class="f-{colour}"/>'


def dot(x: float, y: float, radius: float, names: str) -> str:
    """A round dot."""
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="{names}"/>'


def cross(x: float, y: float, colour: str) -> str:
    """A small × at a point."""
    a, b, c, d = number(x - 4), number(x + 4), number(y - 4), number(y + 4)
    return f'<path d="M{a} {c}L{b} {d}M{a} {d}L{b} {c}" class="s-{colour} thick"/>'


def page(wide: float, high: float, title: str, description: str, elements: Iterable[str]) -> str:
    """The whole file: as large as said, with what is read to those who do not see it."""
    w, h = number(math.ceil(wide)), number(math.ceil(high))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}"'
        f' viewBox="0 0 {w} {h}" role="img" class="flow-picture">',
        f"<title>{escaped(title)}</title>",
        f"<desc>{escaped(description)}</desc>",
        f"<style>{_style()}</style>",
        f'<rect width="{w}" height="{h}" class="f-ground"/>',
        *elements,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _style() -> str:
    own = (
        f".flow-picture text{{font-family:{FONT};text-anchor:middle}}",
        f".flow-picture .m{{font-family:{MONO}}}",
        ".flow-picture .b{font-weight:bold}",
        ".flow-picture .start{text-anchor:start}",
        ".flow-picture .end{text-anchor:end}",
        ".flow-picture [class*=s-]{fill:none;stroke-width:1.3}",
        ".flow-picture .halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}",
        ".flow-picture .dashed{stroke-dasharray:5 4}",
        ".flow-picture .thick{stroke-width:2}",
    )
    dark = "".join(_colours(_DARK))
    return "".join(own) + "".join(_colours(_LIGHT)) + f"@media(prefers-color-scheme:dark){{{dark}}}"


def _colours(colours: dict[str, str]) -> Iterable[str]:
    for name, value in colours.items():
        yield f".flow-picture .s-{name}{{stroke:{value}}}"
        yield f".flow-picture .f-{name}{{fill:{value}}}"
        if not name.endswith("box"):
            yield f".flow-picture .t-{name}{{fill:{value}}}"


def _towards(at: tuple[float, float], to: tuple[float, float], far: float) -> tuple[float, float]:
    length = math.dist(at, to) or 1
    return (at[0] + (to[0] - at[0]) * far / length, at[1] + (to[1] - at[1]) * far / length)
