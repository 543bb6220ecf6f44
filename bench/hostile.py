"""Attacks, one line each: what the peer sees, what memory it buys, how long a healthy client waits beside it.

The attacks are those of tests/hostile, which holds their bounds. Memory is the most that Python's heap grew
by (tracemalloc). Turns are those of the event loop that a request waited at most, and together is how many
requests of the attacker were handled in one turn at most. The wait in time is of a run of its own, without
tracemalloc.

    python -m bench.hostile [--engine reference] [--only WORD ...]
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from tests.driver.harness import serving_on
from tests.hostile.bank import BANK, Attack
from tests.hostile.beside import Target, beside

_COLUMNS = "{:<42} {:>14} {:>11} {:>7} {:>8} {:>9}"


async def _line(attack: Attack, settings: dict[str, Any]) -> str:
    target = Target()
    async with serving_on("asyncio")(target, **settings) as server:
        seen = await beside(server, target, attack)
    async with serving_on("asyncio")(target, **settings) as server:
        wait = (await beside(server, target, attack, memory=False)).seconds
    statuses = ", ".join(
        f"{seen.statuses.count(status)} x {status}" if attack.responses > 1 else str(status)
        for status in dict.fromkeys(seen.statuses)
    )
    return _COLUMNS.format(
        attack.name,
        statuses or "nothing",
        f"{seen.memory / 1024:,.0f} KiB",
        seen.turns,
        seen.together,
        f"{wait * 1000:.1f} ms",
    )


async def _table(attacks: Sequence[Attack], settings: dict[str, Any]) -> None:
    print(_COLUMNS.format("attack", "peer sees", "memory", "turns", "together", "wait"))
    for attack in attacks:
        print(await _line(attack, settings), flush=True)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--engine", default="fast", choices=["fast", "reference"])
    options.add_argument("--only", nargs="*", default=[""], metavar="WORD")
    args = options.parse_args()
    attacks = [attack for attack in BANK if any(word in attack.name for word in args.only)]
    asyncio.run(_table(attacks, {"http1_engine": args.engine}))


if __name__ == "__main__":
    main()
