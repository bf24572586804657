"""Meaning to blocks: each flow cut where it must wait, with what still lives across each cut.

Knows no Python.
"""

from flowlang.cfg.declarations import Declarations, declarations
from flowlang.cfg.flows import build
from flowlang.cfg.graph import Block, Cfg
from flowlang.cfg.states import machine_of

__all__ = ["Block", "Cfg", "Declarations", "build", "declarations", "machine_of"]
