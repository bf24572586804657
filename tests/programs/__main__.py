"""Shows the program of each seed that is given, and what it does by the reference interpreter."""

from __future__ import annotations

import sys

from tests.programs import trial
from tests.programs.generator import seeded

for number in sys.argv[1:]:
    program = seeded(int(number))
    files, _ = trial.understood(program)
    print(program, trial.expected(program, files).seen, sep="\n\n")
