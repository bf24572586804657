"""Text in Mermaid. Knows no picture."""

from __future__ import annotations

from flowlang.diagnostics import printable

_SPECIAL = {character: f"#{ord(character)};" for character in '#;{}<>%"\\'}


def escaped(said: str) -> str:
    """Text that Mermaid takes for nothing but text."""
    return "".join(_SPECIAL.get(character, character) for character in printable(said))
