"""What the cyclic collector goes through while a command serves: not the program itself."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.backends.test_command_line import command, module, running

from httpng_driver.command import freezing

__all__ = ["module"]

APP = """
import gc

def handler(req):
    return f"{gc.get_freeze_count()} {len(gc.get_objects())}"
"""


COUNTING = """
import gc


def handler(req):
    before = sum(each["collections"] for each in gc.get_stats())
    kept = [[number] for number in range(5_000)]
    return str(sum(each["collections"] for each in gc.get_stats()) - before)
"""


@pytest.mark.parametrize("options", [(), ("--workers", "2", "--log-level", "warning")])
def test_what_was_there_when_it_began_is_passed_over(
    module: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running(command(module, "app:handler", "--listen", "127.0.0.1:0", *options), tmp_path) as server:
        frozen, seen = map(int, server.ask().split())
    assert frozen > 10_000
    assert seen < frozen / 10


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """pytest has frozen what there was before its tests; a program hasn't."""
    kept = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(*kept)


def test_it_is_seen_again_when_the_server_has_ended() -> None:
    with freezing() as freeze:
        assert gc.get_freeze_count() == 0
        freeze()
        frozen = gc.get_freeze_count()
        assert frozen > 1000
        # It listens anew.
        freeze()
        assert gc.get_freeze_count() <= frozen
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_arranged_itself_stays_so() -> None:
    gc.disable()
    with freezing() as freeze:
        freeze()
        assert gc.get_freeze_count() == 0
    gc.enable()
    gc.freeze()
    with freezing() as freeze:
        freeze()
    assert gc.get_freeze_count() > 0


def test_it_looks_at_young_objects_less_often_until_the_server_has_ended() -> None:
    gc.set_threshold(700, 11, 12)
    with freezing() as freeze:
        assert gc.get_threshold() == (700, 11, 12)
        freeze()
        assert gc.get_threshold() == (10_000, 11, 12)
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("is_early", [True, False])
def test_thresholds_of_the_program_stay_as_they_are(is_early: bool) -> None:
    """Set before it listens, or by a handler."""
    if is_early:
        gc.set_threshold(123, 4, 5)
    with freezing() as freeze:
        freeze()
        gc.set_threshold(123, 4, 5)
    assert gc.get_threshold() == (123, 4, 5)


def test_requests_that_are_under_way_together_are_no_work_for_the_collector(
    module: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(COUNTING)
    with running(command(module, "app:handler", "--listen", "127.0.0.1:0"), tmp_path) as server:
        assert int(server.ask()) == 0
