"""How a script of these tests is served, and who asks it: the one place to change if that changes."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.driver.harness import Client, in_thread, until
from tests.driver.http1_client import Received
from tests.driver.http2_client import Client2, TlsClient2
from tests.driver.net import HTTP1, Transport
from tests.driver.tls_client import TlsClient

from httpng_core import CertificateFiles
from httpng_driver import Server
from httpng_driver.command import Wanted, load
from httpng_lua import LuaApplication

HTTP1_TLS, HTTP2, HTTP2_TLS = Transport(tls=True), Transport(http2=True), Transport(http2=True, tls=True)

_PRELUDE = """
local httpng, fiber = require 'httpng', require 'fiber'
local pair = {certificate_file = %r, certificate_key_file = %r}
local plain = '127.0.0.1:0'
local sealed = {addr = '127.0.0.1', port = 0, tls = {pair}}
local both = {plain, sealed}
local open = io.open
local function report(...)
  local line = {...}
  for i = 1, select('#', ...) do line[i] = tostring(line[i]) end
  local file = assert(open(%r, 'a'))
  file:write(table.concat(line, ' '), '\\n')
  file:close()
end
-- What `fn(...)` raises; false if it doesn't.
local function refused(fn, ...)
  local done, why = pcall(fn, ...)
  return not done and why
end
"""


def prelude(pair: CertificateFiles, told: Path) -> str:
    """What stands before each script: where to listen, and how it reports into the file `told`."""
    return _PRELUDE % (pair.certificate_file, pair.certificate_key_file, str(told))


def lines_of(told: Path) -> list[str]:
    """What a script has reported."""
    return told.read_text().splitlines() if told.exists() else []


def application(path: Path, lua: str) -> LuaApplication:
    """A script as the command line serves it."""
    app = load(Wanted(name=str(path), lua=lua))
    assert isinstance(app, LuaApplication)
    return app


def name_of(over: Transport) -> str:
    """As ids of tests have it, such as "TLS-HTTP/2"."""
    return f"{'TLS-' if over.tls else ''}HTTP/{2 if over.http2 else '1.1'}"


def each(*transports: Transport) -> pytest.MarkDecorator:
    """The test has a parameter `over`: what carries its requests."""
    return pytest.mark.parametrize("over", transports, ids=name_of)


on_four = each(HTTP1, HTTP1_TLS, HTTP2, HTTP2_TLS)
on_three = each(HTTP1, HTTP1_TLS, HTTP2)
"""As many transports as the original has tried."""


class Served:
    """A script that is being served.

    Attributes:
        app: it.
        server: the first of its addresses is in clear text, the last one over TLS, if it listens on both.
    """

    def __init__(self, app: LuaApplication, server: Server, pair: CertificateFiles, told: Path) -> None:
        self.app, self.server = app, server
        self._pair, self._told = pair, told

    def client(self, over: Transport = HTTP1, pair: CertificateFiles | None = None, name: str = "") -> Client:
        """A client that has connected, and no more.

        Args:
            over: what carries its requests.
            pair: the one that it trusts, if not that of `sealed`.
            name: what it believes to be the server's name: as in SNI, and in the requests.
        """
        address = self.server.addresses[-1 if over.tls else 0]
        if over.tls:
            kind = TlsClient2 if over.http2 else TlsClient
            client: Client = kind(address, pair or self._pair, name=name or "localhost")
        else:
            client = (Client2 if over.http2 else Client)(address)
        if name:
            client.authority = f"{name}:{address.port}"
        return client

    async def get(self, over: Transport = HTTP1, path: str = "/") -> Received:
        """A response, on a connection of its own."""

        def get() -> Received:
            with self.client(over) as client:
                client.shake()
                return client.get(path)

        return await in_thread(get)

    async def body(self, over: Transport = HTTP1, path: str = "/") -> str:
        """The body of a whole response."""
        received = await self.get(over, path)
        assert received.complete
        return received.body.decode()

    async def reported(self, last: str) -> list[str]:
        """What the script has reported, once it has reported `last`: what came before."""
        await until(lambda: last in lines_of(self._told), f"the script reports {last!r}")
        lines = lines_of(self._told)
        return lines[: lines.index(last)]


Run = Callable[[str], AbstractAsyncContextManager[Served]]
Finish = Callable[[str], Awaitable[list[str]]]
