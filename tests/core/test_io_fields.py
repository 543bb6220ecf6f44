"""What a handler may assign to `io`: a misspelt field would do nothing, so it raises."""

from collections.abc import Iterator

import pytest

from httpng_core import Application, GeneratorIO, Pending, Request
from httpng_core.testing import Loopback


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("send_windw", "send_window"),
        ("timeout", "send_timeout"),
        ("header", "headers"),
        ("stall", "stall_timeout"),
    ],
)
def test_an_unknown_field_raises_and_names_the_nearest(name: str, nearest: str) -> None:
    told: list[str] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Pending]:
        with pytest.raises(AttributeError) as caught:
            setattr(io, name, 5)
        told.append(str(caught.value))
        yield io.write(b"x")

    client = Loopback(Application(handler)).connect()
    client.get()
    assert client.responses()[0].body == b"x"
    assert told == [f"io has no field {name}; the nearest known one is {nearest}"]


def test_known_fields_are_set() -> None:
    def handler(req: Request, io: GeneratorIO) -> Iterator[Pending]:
        io.headers = {"a": "b"}
        io.send_window, io.send_timeout, io.window_until, io.stall_timeout = 10, 5.0, "sent", 2.0
        yield io.write(b"hello")

    client = Loopback(Application(handler)).connect()
    client.get()
    [response] = client.responses()
    assert (response.headers["a"], response.body) == ("b", b"hello")
