"""`flowc test --exhaustive FLOW`: every crash and every order, one world for each. Plays none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from flowlang.cli.playing import Wanted, made, ready, told
from flowlang.cli.printing import drawable, print_json
from flowlang.cli.worlds import causes, counted, table, told_small, violation_of, write_small

if TYPE_CHECKING:
    from flowrt.sim.exhaustive import Exhausted

Command = TypeVar("Command", bound=Callable[..., Any])

LIMIT = 5_000


def exhaustive_options(command: Command) -> Command:
    """The options that `exhaust_flow` takes."""
    options = (
        click.option("--exhaustive", metavar="FLOW", help="Try every crash and order with FLOW."),
        click.option("--arg", "written", multiple=True, metavar="KEY=VALUE", help="For FLOW."),
        click.option("--parties", default=3, show_default=True, type=click.IntRange(1, 7)),
        click.option("--services", help="MODULE:FUNCTION for FLOW. Default: made up."),
        click.option(
            "--limit",
            default=LIMIT,
            show_default=True,
            type=click.IntRange(1),
            help="So many worlds at most.",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            help="Folder for replay files.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def exhaust_flow(
    paths: Sequence[Path],
    flow: str,
    written: Sequence[str],
    parties: int,
    services: str | None,
    limit: int,
    output: Path,
    as_json: bool,
) -> NoReturn:
    """Every crash point of FLOW and its counterparties, before and after the commit, one and two
    crashes, and every order of deliveries; exit code 1 if something is not as it must be."""
    from flowrt.sim.exhaustive import exhaust
    from flowrt.sim.shrink import shrink

    wanted = Wanted(
        tuple(map(str, paths)),
        flow,
        tuple(written),
        parties,
        most=1,
        services=services,
        compare=True,
    )

    def tell(count: int) -> None:
        if not as_json and sys.stderr.isatty() and count % 200 == 0:
            click.echo(drawable(f"… {count:,} worlds"), err=True)

    violations = []
    with told(as_json), ready(wanted, as_json) as stage:
        found = exhaust(stage.scenario, limit=limit, tell=tell)
        for number, played in enumerate(found.violations, 1):
            small = shrink(stage.scenario, played)
            file = str(write_small(small, wanted, stage, f"exhaustive-{number}", made(output)))
            one = {**violation_of(small.played), "file": file, "choices": causes(small.played)}
            violations.append(one)
            if not as_json:
                click.echo(told_small("a world that is wrong", small, file))
    if as_json:
        print_json(_data(flow, found, violations))
    else:
        click.echo(_text(flow, found, limit))
    sys.exit(1 if found.violated else 0)


def _data(flow: str, found: Exhausted, violations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "ok": not found.violated,
        "flow": flow,
        "courses": found.courses,
        "commits": found.points,
        "packets": found.packets,
        "worlds": dict(found.played),
        "left_out": dict(found.left_out),
        "ended_otherwise": dict(found.others),
        "violated": found.violated,
        "violations": violations,
        "seconds": round(found.seconds, 2),
    }


def _text(flow: str, found: Exhausted, limit: int) -> str:
    lines = [
        f"{flow}: {counted(found.courses, 'course')} without trouble, with "
        f"{counted(found.points, 'commit')} and {counted(found.packets, 'packet')}",
        *table([(kind, f"{count:,}") for kind, count in found.played.items()]),
        f"{counted(found.played.total(), 'world')} in {found.seconds:.1f} s",
    ]
    if found.left_out:
        lines.append(f"left out because of --limit {limit}, with all that would follow from them:")
        lines += table([(kind, f"{count:,}") for kind, count in found.left_out.items()])
    if found.others:
        lines.append("ended otherwise than undisturbed, as they may:")
        lines += table([(why, f"{count:,}") for why, count in sorted(found.others.items())])
    if found.violated:
        lines.append(f"{counted(found.violated, 'world')} went wrong.")
    elif found.others:
        lines.append("All invariants held, and all other worlds ended as undisturbed.")
    else:
        lines.append("All invariants held, and every world ended as undisturbed.")
    return "\n".join(lines)
