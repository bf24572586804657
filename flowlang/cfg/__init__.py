"""Meaning to blocks: each flow cut where it must wait, with what still lives across each cut.

Knows neither Python nor how states are named.
"""

from flowlang.cfg.declarations import Declarations, declarations
from flowlang.cfg.flows import build
from flowlang.cfg.graph import Block, Cfg

__all__ = ["Block", "Cfg", "Declarations", "build", "declarations"]
