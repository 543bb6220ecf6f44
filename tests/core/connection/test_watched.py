"""What a driver keeps of exchanges while somebody looks: those that are open, and those that have ended."""

from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.driving2 import Driven2

from httpng_core import Admission, Exchange, Host

ANSWER = {"content-type": "text/plain"}


class Watched:
    """A connection whose exchanges are watched, with what was noted."""

    def __init__(self, kind: str) -> None:
        self.admission = Admission()
        self.admission.open = {}
        self.ended: list[Any] = []
        host = Host(note_end=lambda exchange, now: self.ended.append(exchange), admission=self.admission)
        self.driven: Driven
        if kind == "http/2":
            self.driven = Driven2(host=host)
        else:
            self.driven = Driven(b"", host=host)

    @property
    def open(self) -> list[Any]:
        assert self.admission.open is not None
        assert len(self.admission.open) == self.admission.under_way
        return list(self.admission.open)

    def begin(self) -> Exchange:
        if isinstance(self.driven, Driven2):
            return self.driven.begin()[0]
        self.driven.receive(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        return self.driven.exchange


@pytest.mark.parametrize("kind", ["http/1.1", "http/2"])
@pytest.mark.parametrize("how", ["answered", "answered at once", "written", "reset", "lost"])
def test_an_exchange_is_open_until_it_is_over(kind: str, how: str) -> None:
    watched = Watched(kind)
    driven = watched.driven
    for _ in range(2):
        exchange = watched.begin()
        assert watched.open == [exchange]
        assert exchange not in watched.ended
        if how == "answered":
            exchange.answer(200, ANSWER, b"x", driven.now)
        elif how == "answered at once":

            def send(data: bytes) -> int:
                driven.wire.extend(data)
                return len(data)

            exchange.answer(200, ANSWER, b"x", driven.now, send)
        elif how == "written":
            exchange.write(b"x", driven.now)
            exchange.close(driven.now)
        elif how == "reset":
            exchange.reset(driven.now)
        else:
            driven.lost()
        driven.push()
        assert exchange.is_over
        assert watched.open == []
        assert watched.ended[-1] is exchange
        if how in ("reset", "lost"):
            break
