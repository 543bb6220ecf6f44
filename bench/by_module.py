"""What cProfile saw, by module: the share of time that each has of its own, and its calls."""

import cProfile
import pstats
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Modules = dict[str, tuple[float, float]]
"""Own microseconds and calls by module."""


def by_module(profile: cProfile.Profile | str, times: int) -> Modules:
    """Return what each module took for one of so many equal things, from a profile or a file with one."""
    found: Modules = defaultdict(lambda: (0.0, 0.0))
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, calls, own, _, _) in stats.items():
        cost, count = found[_module(file)]
        found[_module(file)] = (cost + own / times * 1e6, count + calls / times)
    return found


def added(all_modules: Iterable[Modules]) -> Modules:
    """Return the sums."""
    total: Modules = defaultdict(lambda: (0.0, 0.0))
    for modules in all_modules:
        for module, (cost, calls) in modules.items():
            total[module] = (total[module][0] + cost, total[module][1] + calls)
    return total


def print_modules(title: str, modules: Modules, total: float) -> None:
    """Print the dearest ones, as shares of a total: absolute times are the profiler's as well."""
    share, calls = sum(cost for cost, _ in modules.values()), sum(calls for _, calls in modules.values())
    print(f"  {share / total:6.1%} {calls:7.1f} calls  {title}")
    for module, (cost, calls) in sorted(modules.items(), key=lambda item: -item[1][0])[:20]:
        print(f"      {cost / total:6.1%} {calls:7.1f} calls  {module}")


def _module(file: str) -> str:
    if file.startswith(("~", "<")):
        return "built-in or generated"
    parts = Path(file).with_suffix("").parts
    folder = next((part for part in ("site-packages", "src") if part in parts), None)
    return ".".join(parts[parts.index(folder) + 1 :]) if folder else parts[-1]
