"""flowc in processes of their own, forked from one that has loaded it: what a run does is tested,
not for the hundredth time how Python loads it. Where loading matters, tests start flowc themselves.

`python -m tests.loaded` is that one: a run for each line of JSON, and a line for how it ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flowlang import cli

ROOT = Path(__file__).parent.parent


class Ended(NamedTuple):
    """How a run ended: its exit code, or minus the signal that ended it; all that it printed; the
    most memory that it held, in KiB."""

    code: int
    printed: str
    memory_kib: int


class Flowc:
    """Runs flowc with arguments in a folder and an environment; a context, whose end ends it.

    With `cpu_s` a run that takes so many seconds of CPU, or 4 GiB, is killed.
    """

    def __init__(self, scratch: Path, cpu_s: int | None = None) -> None:
        self._output = scratch / "output"
        self._cpu_s = cpu_s
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Flowc:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] = os.environ
    ) -> Ended:
        """One run; what is written to both outputs comes back in its order."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.loaded"],
                cwd=ROOT,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        asked = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "output": str(self._output),
            "cpu_s": self._cpu_s,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        status, memory_kib = json.loads(self._process.stdout.readline())
        printed = self._output.read_bytes().decode("utf-8", "surrogateescape")
        return Ended(os.waitstatus_to_exitcode(status), printed, memory_kib)


# --- the process that has loaded it ---------------------------------------------------------------


def _serve() -> None:
    """Returns in the parent when nobody asks any more, and in each child to run what was asked."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            return
        _, status, usage = os.wait4(child, 0)
        print(json.dumps([status, usage.ru_maxrss]), flush=True)
    sys.exit()


def _become(asked: dict) -> None:
    output = os.open(asked["output"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    script = Path(sys.executable).with_name("flowc")
    sys.argv = [str(script), *asked["arguments"]]
    sys.path[0] = str(script.parent)
    if asked["cpu_s"] is not None:
        # What needs more is killed, and its status is not the one that was asked for.
        resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu_s"], asked["cpu_s"]))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def _load() -> None:
    """What commands import when they need it, and what they read once: the parser's table."""
    from flowlang import codegen, compiler
    from flowlang.source import Source

    fine = Source("shop.flow", "shop", "flow Ship():\n    pass\n")
    for module in compiler.compile_modules(["shop"], {"shop": fine}.get).modules.values():
        codegen.generate(module)
    importlib.import_module("flowlang.run")


if __name__ == "__main__":
    _load()
    gc.collect()
    gc.freeze()
    _serve()
    cli.main()
