"""The cyclic collector beside a server that has a process of its own."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FROZEN_BY_PYTHON: Final = 1000
"""Python 3.12 begins with 375 frozen objects of its own; a program that freezes has many more."""
_BY_DEFAULT: Final = (700, 2000)
"""So many containers more than there were make Python look at the young ones: up to 3.12, and from 3.13."""
_YOUNG: Final = 10_000
"""The same while a command serves. Some hundreds of requests that are under way together hold fewer."""


@contextmanager
def freezing() -> Iterator[Callable[[], None]]:
    """Yield what has the collector pass over all that there is by then; at the end it sees it again.

    A full collection goes through all that it knows while the loop stands still: mostly modules, classes and
    functions that stay as long as the process does. Of what the server makes later nothing waits for the
    collector, so it needn't look at young objects as often as Python has it do, either: what it finds then
    are requests under way. Calling it again does nothing; nor does it where the program has frozen something
    itself, or switched the collector off. Thresholds of the program's own stay as they are.
    """
    frozen, kept = False, gc.get_threshold()

    def freeze() -> None:
        nonlocal frozen, kept
        if frozen or gc.get_freeze_count() > _FROZEN_BY_PYTHON or not gc.isenabled():
            return
        frozen, kept = True, gc.get_threshold()
        # What is garbage by now would never go.
        gc.collect()
        gc.freeze()
        if kept[0] in _BY_DEFAULT:
            gc.set_threshold(_YOUNG, *kept[1:])

    try:
        yield freeze
    finally:
        if frozen:
            gc.unfreeze()
            if gc.get_threshold()[0] == _YOUNG:
                gc.set_threshold(*kept)
