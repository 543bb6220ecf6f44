"""Requests that differ from one before in nothing but their path, taken one at a time or several at once."""

from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.http2.engine.driving import frame

OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kind=4)


def request(number: int, path: bytes, host: bytes = b"test") -> bytes:
    """A GET whose path is a literal that isn't put into the table."""
    block = b"\x82\x86\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(host)]) + host
    return frame(1, 0x05, number, block)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"trusted_proxies": ["192.0.2.1"]}], ids=["ordinary", "looked at"])
def test_each_has_its_own_path(http2_engine: str, at_once: int, settings: dict[str, Any]) -> None:
    driven = Driven(OPENING, http2_engine=http2_engine, **settings)
    driven.push()
    number = 1
    # Some are known by now, some differ from one that is, and some from one that differs itself.
    for paths in (b"abc", b"def", b"abc", b"xyz", b"axb", b"xyz"):
        data = [request(number + 2 * at, b"/%c" % path) for at, path in enumerate(paths)]
        number += 2 * len(paths)
        for begin in range(0, len(data), at_once):
            driven.receive(b"".join(data[begin : begin + at_once]))
        found = driven.exchanges[-len(paths) :]
        assert [exchange.request.path for exchange in found] == [f"/{chr(path)}" for path in paths]
        assert {exchange.request.host for exchange in found} == {"test"}
        for exchange in found:
            exchange.answer(200, None, b"hello", driven.now)
        driven.push()
