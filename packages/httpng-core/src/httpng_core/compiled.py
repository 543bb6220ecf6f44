"""Whether this core was compiled by mypyc when it was built, and what tells mypyc about a class.

`mypyc_attr` is that of `mypy_extensions`, which needn't be installed: it says something to mypyc alone.
"""

from typing import TYPE_CHECKING, Final

from httpng_core import timers

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_):
        """Return a decorator that leaves a class as it is."""
        return lambda decorated: decorated


__all__ = ["COMPILED", "mypyc_attr"]

COMPILED: Final = not timers.__file__.endswith(".py")
"""Whether the hot modules of the core are compiled: they are faster then, and do the same."""
