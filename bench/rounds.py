"""What benchmarks of servers share: alternating rounds, medians and ratios, and where results are kept."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from servers import HERE, Server, commit  # type: ignore[import-not-found]

Rounds = dict[str, list[float]]
"""What each server reached in each round."""


@dataclass(frozen=True)
class Row:
    """A line of a report: medians over the rounds, the ratio being taken within each round."""

    server: str
    median: float
    least: float
    most: float
    ratio: float | None
    ratio_least: float | None
    ratio_most: float | None


def installed(servers: Sequence[Server], only: Sequence[str] | None) -> tuple[list[Server], list[str]]:
    """The servers to be measured, and the names of those that aren't installed."""
    wanted = [one for one in servers if not only or one.name in only]
    missing = [one.name for one in wanted if not one.is_installed]
    for name in missing:
        print(f"not installed, so not measured: {name}")
    return [one for one in wanted if one.is_installed], missing


def alternate(
    servers: Sequence[Server], measure: Callable[[Server], float], rounds: int, unit: str
) -> Rounds:
    """Measure every server in turn, as often as there are rounds: what slows the machine meets all."""
    reached: Rounds = {server.name: [] for server in servers}
    for round_ in range(rounds):
        for server in servers:
            reached[server.name].append(measure(server))
            print(f"round {round_ + 1}  {server.name:28}{reached[server.name][-1]:10.4g} {unit}", flush=True)
    return reached


def report(title: str, reached: Rounds, baseline: str) -> list[Row]:
    """Print medians, ranges and ratios to the baseline, where it was measured."""
    print(f"\n{title}\n{'':28} {'median':>9} {'min':>9} {'max':>9}   ratio to {baseline}, of each round")
    rows = [_row(name, own, reached.get(baseline)) for name, own in reached.items()]
    for row in rows:
        line = f"{row.server:28} {row.median:9.4g} {row.least:9.4g} {row.most:9.4g}"
        if row.ratio is not None:
            line += f"   {row.ratio:.2f} ({row.ratio_least:.2f} .. {row.ratio_most:.2f})"
        print(line)
    print(flush=True)
    return rows


def _row(name: str, own: list[float], base: list[float] | None) -> Row:
    about = (name, statistics.median(own), min(own), max(own))
    if base is None:
        return Row(*about, None, None, None)
    ratios = [a / b for a, b in zip(own, base, strict=True)]
    return Row(*about, statistics.median(ratios), min(ratios), max(ratios))


def missed(rows: Sequence[Row], targets: dict[str, float], where: str) -> list[str]:
    """Which ratios are below what they have to be."""
    return [
        f"{row.server} ({where}): {row.ratio:.2f}, at least {targets[row.server]}"
        for row in rows
        if row.ratio is not None and row.ratio < targets.get(row.server, 0.0)
    ]


def verdict(failures: Sequence[str]) -> int:
    """Print what was missed; the exit status."""
    print("\n".join(f"missed: {each}" for each in failures) or "all targets met")
    return 1 if failures else 0


def save(kind: str, content: dict[str, Any]) -> None:
    """Keep a result with the commit that made it."""
    about = {"commit": commit(), "python": platform.python_version(), "kernel": platform.release()}
    about |= {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    path = HERE / "results" / f"{kind}-{about['commit']}.json"
    path.write_text(json.dumps({**about, **content}, indent=1) + "\n")
    print(f"kept in {path}")


def kept(rows: Sequence[Row], reached: Rounds) -> dict[str, Any]:
    """A report as it is saved."""
    return {"report": [asdict(row) for row in rows], "rounds": reached}


def parser(description: str | None, *, seconds: float = 2) -> argparse.ArgumentParser:
    """The options that all these benchmarks have."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=seconds, help="of load in a round, whole ones")
    made.add_argument("--only", nargs="*", metavar="NAME")
    made.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return made
