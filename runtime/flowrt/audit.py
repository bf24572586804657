"""Verifying an audit trail from outside: `python -m flowrt.audit STORE`. Changes nothing, claims
nothing: a node may run on that store meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from flowrt.store import StoreError
from flowrt.store.chain import Broken
from flowrt.store.sqlite import verified


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how many rows are as they were written, and the last one's digest; 1 if one is not."""
    parser = argparse.ArgumentParser(prog="python -m flowrt.audit", description=__doc__)
    parser.add_argument("store", help="a node's SQLite file")
    path = parser.parse_args(arguments).store
    try:
        found = verified(path)
    except (Broken, StoreError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    older = f", {found.unchained} are older than that" if found.unchained else ""
    print(f"{found.rows} rows are as they were written{older}; the last digest: {found.head.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
