"""The cyclic collector beside a server that has a process of its own."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FROZEN_BY_PYTHON: Final = 1000
"""Python 3.12 begins with 375 frozen objects of its own; a program that freezes has many more."""


@contextmanager
def freezing() -> Iterator[Callable[[], None]]:
    """Yield what has the collector pass over all that there is by then; at the end it sees it again.

    A full collection goes through all that it knows while the loop stands still: mostly modules, classes and
    functions that stay as long as the process does. Of what the server makes later nothing waits for the
    collector. Calling it again does nothing; nor does it where the program has frozen something itself, or
    switched the collector off.
    """
    frozen = False

    def freeze() -> None:
        nonlocal frozen
        if frozen or gc.get_freeze_count() > _FROZEN_BY_PYTHON or not gc.isenabled():
            return
        frozen = True
        # What is garbage by now would never go.
        gc.collect()
        gc.freeze()

    try:
        yield freeze
    finally:
        if frozen:
            gc.unfreeze()
