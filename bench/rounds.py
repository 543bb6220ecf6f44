"""What benchmarks of servers share: alternating rounds, medians and ratios, and where results are kept."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from servers import HERE, Server, commit, pin_load  # type: ignore[import-not-found]

from httpng_core import COMPILED

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


def _alternate(measures: Mapping[str, Callable[[], float]], rounds: int, unit: str) -> Rounds:
    """Measure each in turn, as often as there are rounds: what slows the machine meets all."""
    reached: Rounds = {name: [] for name in measures}
    for round_ in range(rounds):
        for name, measure in measures.items():
            reached[name].append(measure())
            print(f"round {round_ + 1}  {name:28}{_told(reached[name][-1])} {unit}", flush=True)
    return reached


def _report(title: str, reached: Rounds, baseline: str) -> list[Row]:
    """Print medians, ranges and ratios to the baseline, where it was measured."""
    print(f"\n{title}\n{'':28} {'median':>9}{'min':>10}{'max':>10}   ratio to {baseline}, of each round")
    rows = [_row(name, own, reached.get(baseline)) for name, own in reached.items()]
    for row in rows:
        line = f"{row.server:28}{_told(row.median)}{_told(row.least)}{_told(row.most)}"
        if row.ratio is not None:
            line += f"   {row.ratio:.2f} ({row.ratio_least:.2f} .. {row.ratio_most:.2f})"
        print(line)
    print(flush=True)
    return rows


def _told(value: float) -> str:
    return f"{value:10.0f}" if value >= 100 else f"{value:10.2f}"


def _row(name: str, own: list[float], base: list[float] | None) -> Row:
    about = (name, statistics.median(own), min(own), max(own))
    if base is None:
        return Row(*about, None, None, None)
    ratios = [a / b for a, b in zip(own, base, strict=True)]
    return Row(*about, statistics.median(ratios), min(ratios), max(ratios))


def _missed(rows: Sequence[Row], targets: Mapping[str, float], where: str) -> list[str]:
    """Which ratios are below what they have to be."""
    return [
        f"{row.server} ({where}): {row.ratio:.2f}, at least {targets[row.server]}"
        for row in rows
        if row.ratio is not None and row.ratio < targets.get(row.server, 0.0)
    ]


def compare(
    measures: Mapping[str, Callable[[], float]],
    targets: Mapping[str, float],
    baseline: str,
    *,
    rounds: int,
    unit: str,
    where: str,
) -> tuple[dict[str, Any], list[str]]:
    """Measure and print one table; return what of it is saved, and which targets were missed."""
    reached = _alternate(measures, rounds, unit)
    rows = _report(f"{unit}, {where}", reached, baseline)
    return {"report": [asdict(row) for row in rows], "rounds": reached}, _missed(rows, targets, where)


@dataclass(frozen=True)
class Comparison:
    """Servers beside one of them, the baseline, in several cases.

    Attributes:
        name: of the benchmark, and of the file that it is kept in.
        unit: what a figure counts.
        servers: all that may be measured.
        baseline: the name of the one whose figures are 1.
        targets: the ratio that each server has to reach, with a core of pure Python and with a compiled one.
    """

    name: str
    unit: str
    servers: tuple[Server, ...]
    baseline: str
    targets: Mapping[str, tuple[float, float]]

    def run(
        self,
        rate: Callable[[Server, str], float],
        cases: Sequence[str],
        options: argparse.Namespace,
        about: Mapping[str, Any],
    ) -> int:
        """Measure and print a table for each case, and save it if asked to; the exit status."""
        pin_load()
        servers, missing = installed(self.servers, options.only)
        targets = {name: both[options.compiled] for name, both in self.targets.items()}
        results, failures = {}, []
        for case in cases:
            measures = {one.name: partial(rate, one, case) for one in servers}
            how = {"rounds": options.rounds, "unit": self.unit, "where": case}
            results[case], missed = compare(measures, targets, self.baseline, **how)
            failures += missed
        if options.save:
            how = {**about, "compiled": options.compiled, "not_installed": missing}
            save(self.name, {**how, "cases": results})
        return verdict(failures)


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


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all these benchmarks have."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--only", nargs="*", metavar="NAME")
    made.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return made


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of a `Comparison`."""
    made = parser(description)
    made.add_argument(
        "--compiled", action="store_true", default=COMPILED, help="the targets of a compiled core"
    )
    return made
