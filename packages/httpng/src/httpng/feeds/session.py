"""What a feed asks of a connection to its broker, whichever that is."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass

from httpng.feeds.outbox import Outgoing


class BehindError(Exception):
    """What has come can't be put behind what came before: all is to be restored anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A publication as the broker has it.

    Attributes:
        number: its number. They ascend, also over the end of a broker that remembers nothing.
        first: the number of the first publication that it stands for; of those between nothing else is known.
        base: what the broker's numbers began with; another one: it has begun anew.
        key: its key.
        body: the payload; `None`: the key is removed.
        count: how many publications it stands for.
        total: how many publications of the key there were since it has a value; 0: the broker doesn't know.
    """

    number: int
    first: int
    base: int
    key: str | None
    body: bytes | None
    count: int = 1
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a broker has, up to one publication.

    Attributes:
        base: what its numbers began with.
        horizon: of what was published up to this number it doesn't know all.
        number: the number of that publication. What is newer comes one by one.
        is_new: whether it doesn't go on from what was seen: nothing was, or the broker has forgotten some.
        entries: the newest one of each key, or all after the last that was seen, by their numbers.
        gone: which of the known keys it has no value of any more, and no entry that says so.
    """

    base: int
    horizon: int
    number: int
    is_new: bool
    entries: Sequence[Entry]
    gone: Set[str | None] = frozenset()


class Session(ABC):
    """One connection to a broker. Whatever it raises ends it.

    Attributes:
        is_gapless: whether an entry that is missing may have been the newest of its key.
    """

    is_gapless: bool

    @abstractmethod
    async def restore(self, seen: int, base: int, known: Set[str | None]) -> Restored:
        """Return what the broker has.

        Args:
            seen: the number of the publication that came last; 0: none has.
            base: what the numbers began with then.
            known: the keys that have a value here.
        """

    @abstractmethod
    def entries(self, after: int) -> AsyncIterator[Entry]:
        """Give what is published after this number, as it comes; must follow `restore`."""

    @abstractmethod
    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Publish all of these in this order, and return when the broker has them.

        What it has of them already, by an earlier connection, is left out.
        """
