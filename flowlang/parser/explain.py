"""What to say about a token that cannot stand where it stands. Feeds no parser."""

from __future__ import annotations

from flowlang.parser import misplaced, slips
from flowlang.parser.expected import expected
from flowlang.parser.scene import Said, Scene

_RULES = (misplaced.later, *slips.RULES, *misplaced.RULES)


def explain(scene: Scene) -> Said:
    """The one thing to say: from the particular to the general."""
    for rule in _RULES:
        said = rule(scene)
        if said is not None:
            return said
    return expected(scene)
