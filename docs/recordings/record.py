"""Records a command on a terminal of its own, as an asciinema cast of version 2: a header, then an
event a line (https://docs.asciinema.org/manual/asciicast/v2/).

    python docs/recordings/record.py demo-processes.cast flowc demo --processes

Pages show what is left on the screen in the end: it is printed.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import time
from pathlib import Path

WIDTH, HEIGHT = 88, 30
TYPING_S = 0.04


def record(path: Path, command: list[str]) -> int:
    """Run it, and write what it shows to `path`; its exit code."""
    # Beside this Python before others, as in an activated environment.
    environment = os.environ | {
        "TERM": "xterm-256color",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    environment.pop("NO_COLOR", None)
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        os.execvpe(command[0], command, environment)
    events: list[tuple[float, str, str]] = []
    text = f"$ {' '.join(command)}"
    for number, sign in enumerate(text):
        events.append((round(number * TYPING_S, 3), "o", sign))
    events.append((round(len(text) * TYPING_S, 3), "o", "\r\n"))
    began = time.monotonic() - len(text) * TYPING_S
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # So Linux says that nobody has the other end any more.
            data = b""
        if not data:
            break
        shown = decoder.decode(data)
        if shown:
            events.append((round(time.monotonic() - began, 3), "o", shown))
    _, status = os.waitpid(child, 0)
    header = {
        "version": 2,
        "width": WIDTH,
        "height": HEIGHT,
        "timestamp": int(time.time()),
        "idle_time_limit": 2.0,
        "command": " ".join(command),
        "env": {"TERM": environment["TERM"]},
    }
    lines = [json.dumps(header), *(json.dumps(one, ensure_ascii=False) for one in events)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return os.waitstatus_to_exitcode(status)


MOVES = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|([\r\n])")


def screen(path: Path) -> str:
    """What a recording leaves on the screen, and above it. Knows what `rich` says to terminals."""
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()[1:]]
    lines, at, column = [""], 0, 0
    end = 0
    text = "".join(shown for _, _, shown in events)
    for move in [*MOVES.finditer(text), None]:
        plain = text[end : move.start() if move else len(text)]
        lines[at] = lines[at][:column].ljust(column) + plain + lines[at][column + len(plain) :]
        column += len(plain)
        if move is None:
            break
        end = move.end()
        if move[3] == "\r":
            column = 0
        elif move[3] == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif move[2] == "A":
            at = max(at - int(move[1] or 1), 0)
        elif move[2] == "K":
            lines[at] = ""
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


if __name__ == "__main__":
    place = Path(__file__).parent / sys.argv[1]
    code = record(place, sys.argv[2:])
    print(screen(place), end="")
    sys.exit(code)
