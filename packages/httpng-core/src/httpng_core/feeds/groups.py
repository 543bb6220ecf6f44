"""The groups of one event loop, found by key: publishing costs what those cost who want it.

1. Keys that are known beforehand, of sets and of `Keys`, are in an index.
2. A function is asked once for each key and group: when something of the key is published first, or is there
   already as the group is made. What it said is kept, for so many keys.
3. What a function raises is the affair of those who gave it: it ends their follows, and touches nobody else.
"""

from collections.abc import Hashable
from typing import Final

from httpng_core.errors import is_handlers_error
from httpng_core.feeds.group import Group
from httpng_core.feeds.keys import Keys

_KEYS_ASKED: Final = 65_536
"""For so many keys is kept what functions have said; then they are asked anew."""


class Groups:
    """The groups of one event loop.

    Attributes:
        failed: the groups whose functions raised since this was emptied, with what they raised.
    """

    def __init__(self) -> None:
        self.failed: list[tuple[Group, BaseException]] = []
        self._by_wanted: dict[object, Group] = {}
        self._index: dict[Hashable, dict[Group, None]] = {}
        self._asking: dict[Group, None] = {}
        self._answers: dict[Hashable, dict[Group, None]] = {}

    @property
    def all(self) -> tuple[Group, ...]:
        """All groups. Any thread may ask."""
        return tuple(self._by_wanted.values())

    def get(self, wanted: object) -> Group | None:
        """Return the group of those that want this."""
        return self._by_wanted.get(_identity(wanted))

    def add(self, group: Group) -> None:
        """Have a new group found by its keys."""
        self._by_wanted[_identity(group.keys)] = group
        for key in group.given:
            self.index(key, group)
        if callable(group.keys):
            self._asking[group] = None
            self._answers.clear()

    def remove(self, group: Group) -> None:
        """Have a group found no more."""
        del self._by_wanted[_identity(group.keys)]
        for key in group.given:
            self.unindex(key, group)
        if self._asking.pop(group, self) is None:
            for answers in self._answers.values():
                answers.pop(group, None)

    def index(self, key: Hashable, group: Group) -> None:
        """Have a group found by one more key."""
        self._index.setdefault(key, {})[group] = None

    def unindex(self, key: Hashable, group: Group) -> None:
        """Have a group found by one key less."""
        groups = self._index[key]
        del groups[group]
        if not groups:
            del self._index[key]

    def wanting(self, key: Hashable) -> tuple[Group, ...]:
        """Return those that want a key."""
        everything = self._by_wanted.get(None)
        found = () if everything is None else (everything,)
        if (indexed := self._index.get(key)) is not None:
            found = (*found, *indexed)
        return (*found, *self._answered(key)) if self._asking else found

    def _answered(self, key: Hashable) -> dict[Group, None]:
        answers = self._answers.get(key)
        if answers is not None:
            return answers
        answers, complete = {}, True
        for group in tuple(self._asking):
            try:
                if group.wants(key):
                    answers[group] = None
            except BaseException as error:
                if not is_handlers_error(error):
                    raise
                self.failed.append((group, error))
                complete = False
        if complete:
            if len(self._answers) >= _KEYS_ASKED:
                self._answers.clear()
            self._answers[key] = answers
        return answers


def _identity(wanted: object) -> object:
    """Return what two have in common that want the same: functions are told apart by what they are."""
    return wanted if wanted is None or isinstance(wanted, (frozenset, Keys)) else id(wanted)
