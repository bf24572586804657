"""Every construct of the language is met by a program that runs and by one that misuses it.

A construct is an alternative of the grammar, or a row of `ROWS`: what the grammar does not tell
apart. A program of `runs` meets what it contains; an `F….flow` what one of its diagnostics is about:
the lines of it reach into the construct, and the construct is no more than `WIDE` lines high.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowlang import parser
from flowlang.parser.builder import Builder
from flowlang.parser.driver import Driver
from flowlang.parser.table import load_table
from flowlang.source import Source
from tests.test_codes import compiled, said

HERE = Path(__file__).parent


def test_():
    t = load_table()
    print(len(t.rules))
