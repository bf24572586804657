"""Programs nested as deep as the language allows: deeper than Python itself would take them."""

from __future__ import annotations

from tests.programs.generator import Program

HEAD = """\
error Oops(n: Int): "oops {n}"

service Desk:
    read coin(n: Int) -> Bool
    write note(line: untrusted Text)
    write take(n: Int) -> Int

flow Main(bob: Party, carol: Party, nobody: Party) -> Int:
    startable by rpc
"""


def tower(sorts: tuple[str, ...], depth: int, *, waits: bool) -> Program:
    """Blocks of these sorts in each other, by turns, with a change to a variable of the outermost
    in the innermost, and an error that goes through every `catch` on its way out."""
    lines = ["    var x = 1"]
    catches: list[str] = []
    for level in range(depth):
        indent = "    " * (level + 1)
        match sorts[level % len(sorts)]:
            case "if":
                lines.append(f"{indent}if x >= 0:")
            case "for":
                lines.append(f"{indent}for item_{level} in [x]:")
            case "while":
                lines += [f"{indent}var n_{level} = 0", f"{indent}while n_{level} < 1:"]
                lines.append(f"{indent}    n_{level} = n_{level} + 1")
            case "try":
                lines.append(f"{indent}try:")
                leave = "throw e" if catches else 'Desk.note("the last")'
                catches += [
                    f"{indent}    {leave}",
                    f'{indent}    Desk.note("{{x}} {{e.n}} {level}")',
                ]
                catches.append(f"{indent}catch Oops as e:")
    indent = "    " * (depth + 1)
    lines += [f"{indent}checkpoint"] * waits
    lines += [f"{indent}x = x + Desk.take({depth})", f"{indent}if x > 1 and {_caught(catches)}:"]
    lines += [f"{indent}    throw Oops(x)", *reversed(catches), "    return x"]
    return Program(HEAD + "\n".join(lines) + "\n", {})


def _caught(catches: list[str]) -> str:
    return "x > 0" if catches else "x < 0"


def sum_of_calls(count: int) -> Program:
    """Each call is made once, in its turn, however the sum is cut up."""
    terms = " + ".join(f"Desk.take({number})" for number in range(count))
    return Program(f"{HEAD}    return {terms}\n", {})


def guarded_calls(depth: int) -> Program:
    """Calls that are made only if those before them came out so."""
    condition = "Desk.coin(1)"
    for number in range(depth):
        condition = f"(Desk.take({number}) > 3 and {condition}) or Desk.take({number}) < 0"
    return Program(f"{HEAD}    if {condition}:\n        return 1\n    return 0\n", {})
