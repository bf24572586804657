"""The library of flows that comes with flowlang: which modules it has, where their text is and
where their Python. Knows no project, and imports nothing of the library.

The text is in `stdlib/`, a folder for each family; the Python is part of the runtime, so that who
only runs flows needs no compiler.
"""

from __future__ import annotations

import functools
from pathlib import Path

TEXTS = Path(__file__).parent / "stdlib"
IMPORTED = "flowrt.stdlib"


@functools.cache
def families() -> frozenset[str]:
    """The first parts of the modules' names."""
    return frozenset(path.name for path in TEXTS.iterdir() if path.is_dir())


@functools.cache
def has(module: str) -> bool:
    """Whether the library has a module of that name."""
    text = text_of(module)
    return text is not None and text.is_file()


def text_of(module: str) -> Path | None:
    """Where the text of such a module would be; None if the library has no such family."""
    family, *rest = module.split(".")
    if not rest or family not in families():
        return None
    return TEXTS.joinpath(family, *rest).with_suffix(".flow")


def python_folder() -> Path:
    """Where the library's Python is: in the runtime that is installed beside the compiler."""
    home = TEXTS.parent.parent
    inside = home / "runtime" / "flowrt"
    return (inside if inside.is_dir() else home / "flowrt") / "stdlib"


def python_of(module: str) -> Path:
    """The file with the Python of a library module."""
    return python_folder().joinpath(*f"{module}_flow".split(".")).with_suffix(".py")


def imported_as(module: str) -> str:
    """The Python module of any `.flow` module: `shop.orders_flow` of `shop.orders`."""
    return f"{IMPORTED}.{module}_flow" if has(module) else f"{module}_flow"
