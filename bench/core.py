"""Microseconds of the core alone: a hello and a write, in memory, by phase.

No socket, no loop: 400 connections take each phase in turn, so that a phase is long enough to be
timed; the CPU time of a phase is divided by their number. The least of many rounds is taken, as whatever else
the machine does only ever adds. Header blocks are equal from request to request, or one header changes each
time. Another core is measured in the same run, alternating, each in processes of its own:

    python bench/core.py [--rounds 100] [--processes 3] [--only NAME ...] [--save]
    python bench/core.py --against ../before/packages/httpng-core/src
    python bench/core.py --modules      own time by module and phase, by cProfile

`Core` here is whichever comes first on the path of this Python: what is installed, or PYTHONPATH.
"""

import argparse
import cProfile
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from by_module import added, by_module, print_modules  # type: ignore[import-not-found]
from core_cases import CASES, CONNECTIONS, Case  # type: ignore[import-not-found]
from rounds import save  # type: ignore[import-not-found]

import httpng_core

Costs = dict[str, float]
"""Microseconds by phase, and their sum."""
THIS = "this core"


def main() -> None:
    """Measure, and print a table for each core."""
    options = _options()
    chosen = [name for name in CASES if not options.only or name in options.only]
    if options.modules:
        for name in chosen:
            _print_modules(name, options.rounds)
    elif options.worker:
        costs = {name: _measure(name, options.rounds) for name in chosen}
        print(json.dumps({"core": str(Path(httpng_core.__file__).resolve()), "costs": costs}))
    else:
        _compare(chosen, options)


def _measure(name: str, rounds: int) -> Costs:
    """Microseconds by phase: the least of all rounds; and the least sum of one round."""
    case: Case = CASES[name]()
    least: Costs = {}
    for _ in range(rounds):
        spent = dict(_round(case))
        spent["sum"] = sum(spent.values())
        least = {phase: min(cost, least.get(phase, cost)) for phase, cost in spent.items()}
    return least


def _round(case: Case) -> Iterator[tuple[str, float]]:
    case.prepare()
    for phase, run in case.phases:
        before = time.process_time()
        run()
        yield phase, (time.process_time() - before) / CONNECTIONS * 1e6
    case.check()


def _compare(chosen: list[str], options: argparse.Namespace) -> None:
    cores = {THIS: ""} | ({options.against: options.against} if options.against else {})
    least: dict[str, dict[str, Costs]] = {core: {} for core in cores}
    for _ in range(options.processes):
        for core, path in cores.items():
            for name, costs in _in_process(path, chosen, options.rounds).items():
                known = least[core].get(name, costs)
                least[core][name] = {phase: min(cost, known[phase]) for phase, cost in costs.items()}
    print(f"this core is {'compiled' if httpng_core.COMPILED else 'pure Python'}")
    for core in cores:
        _print_costs(core, least[core])
    if options.against:
        _print_ratios(least[THIS], least[options.against])
    if options.save:
        how = {"rounds": options.rounds, "processes": options.processes, "against": options.against}
        save("core", {**how, "microseconds": least})


def _in_process(path: str, chosen: list[str], rounds: int) -> dict[str, Costs]:
    """Measure the core below `path`, or the one that is installed, in a process of its own."""
    paths = os.pathsep.join(part for part in (path, os.environ.get("PYTHONPATH", "")) if part)
    command = [sys.executable, __file__, "--worker", "--rounds", str(rounds), "--only", *chosen]
    environment = {**os.environ, "PYTHONPATH": paths}
    told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=600).stdout
    measured = json.loads(told)
    if not measured["core"].startswith(str(Path(path).resolve()) if path else ""):
        raise RuntimeError(f"{measured['core']} was measured, not what is below {path}")
    costs: dict[str, Costs] = measured["costs"]
    return costs


def _print_costs(core: str, least: dict[str, Costs]) -> None:
    print(f"\n{core}: microseconds, the least of all rounds")
    for name, costs in least.items():
        phases = "  ".join(f"{phase} {cost:.2f}" for phase, cost in costs.items() if phase != "sum")
        print(f"{name:26}{costs['sum']:8.2f}   {phases}")


def _print_ratios(this: dict[str, Costs], other: dict[str, Costs]) -> None:
    print("\nthe other core's microseconds in terms of this one's")
    for name, costs in this.items():
        print(f"{name:26}{other[name]['sum'] / costs['sum']:8.2f}")


def _print_modules(name: str, rounds: int) -> None:
    """Print each module's own time and calls by phase, as the profiler sees them: shares, not absolutes."""
    case: Case = CASES[name]()
    profiles = {phase: cProfile.Profile() for phase, _ in case.phases}
    for _ in range(rounds):
        case.prepare()
        for phase, run in case.phases:
            profiles[phase].runcall(run)
    phases = {phase: by_module(profile, rounds * CONNECTIONS) for phase, profile in profiles.items()}
    every = added(phases.values())
    total = sum(cost for cost, _ in every.values())
    print(f"\n{name}: {total:.1f} µs under the profiler; share of it and calls by module")
    for phase, modules in ("all phases", every), *phases.items():
        print_modules(phase, modules, total)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=100, help="in each process")
    parser.add_argument("--processes", type=int, default=3, help="for each core")
    parser.add_argument("--against", default="", metavar="PATH", help="the src folder of another core")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--modules", action="store_true", help="profile this core, measure nothing")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
