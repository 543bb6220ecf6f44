"""A script that is reloaded again and again, and clients that see whether a response is of one configuration.

Configuration n has sites of its own, functions that say n, and room for bodies of as many bytes as its number
and no more. `done` is the number of the last one whose `cfg` has returned. Every response says its site, n,
and what `done` was when its handler began.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

from tests.driver.harness import Client
from tests.driver.http1_client import Received
from tests.lua.requirements.scripts import Served

A_SECOND = 20
"""How many reloads there are in a second."""
PATHS = ("/", "/a", "/odd", "/a/x", "/even", "/pieces")
WRK_SCRIPT = Path(__file__).with_name("reloads_wrk.lua")

SCRIPT = """
local number, done = 0, 0
local wanted, made = fiber.channel(0), fiber.channel(0)

local function site(name, n)
  return function(req)
    local said = ('%%s %%d %%d'):format(name, n, done)
    return {headers = {['x-n'] = ('%%d'):format(n)}, body = said}
  end
end

-- A response of several pieces, that others are sent in between of.
local function pieces(n)
  return function(req, io)
    local said = ('pieces %%d %%d'):format(n, done)
    io.headers = {['x-n'] = ('%%d'):format(n)}
    for character in said:gmatch('.') do
      io:write(character)
      fiber.sleep(0.001)
    end
  end
end

local reload

local function cfg(n)
  local parity = n %% 2 == 0 and '/even' or '/odd'
  return {
    threads = %d,
    max_body_len = n,
    handler = site('root', n),
    sites = {
      {path = '/a', handler = site('a', n)},
      {path = parity, handler = site(parity:sub(2), n)},
      {path = '/pieces', handler = pieces(n)},
      {path = '/reload', handler = reload},
    },
  }
end

local function advance()
  number = number + 1
  httpng.cfg(cfg(number))
  done = number
  return number
end

-- Every other time another fiber does it, for one that waits.
function reload()
  if number %% 2 == 0 then
    wanted:put(true)
    return ('%%d'):format(made:get())
  end
  return ('%%d'):format(advance())
end

fiber.new(function()
  while true do
    wanted:get()
    made:put(advance())
  end
end)

local first = cfg(0)
first.listen = plain
httpng.cfg(first)
"""


def script(threads: int) -> str:
    """The script, served by so many threads."""
    return SCRIPT % threads


def site_of(path: str, n: int) -> str:
    """Which site of configuration n has a path."""
    first = path.split("/")[1]
    if first in ("a", "pieces"):
        return first
    return first if first == ("odd" if n % 2 else "even") else "root"


def check(path: str, received: Received, least: int) -> int:
    """That a response is of one configuration, and that its number is at least `least`; gives the number."""
    assert received.complete
    assert received.status == 200, received
    assert received.headers is not None
    site, said_n, said_done = received.body.decode().split()
    n, done = int(said_n), int(said_done)
    assert site == site_of(path, n)
    assert received.headers["x-n"] == said_n
    assert n >= done, "it began with an old function"
    assert n >= least, "its request came after that reload"
    return n


class Reloader:
    """A client that reloads, and then asks on connections to all loops whether that counts for them."""

    def __init__(self, served: Served, count: int) -> None:
        """`count` connections; as many as there are loops reach each of them."""
        self._clients = [served.client() for _ in range(count)]
        self._paths = cycle(PATHS)

    def reload(self, times: int) -> int:
        """Reloads so many times, and blocks for that long; gives the number of the last configuration."""
        began, n = time.monotonic(), 0
        for done in range(times):
            time.sleep(max(0.0, began + done / A_SECOND - time.monotonic()))
            n = self._reload(self._clients[done % len(self._clients)], n)
        return n

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    def _reload(self, client: Client, before: int) -> int:
        n = int(client.get("/reload").body)
        assert n == before + 1
        asked = [next(self._paths) for _ in self._clients]
        for each, path in zip(self._clients, asked, strict=True):
            # Before this reload such a body was too long.
            each.send(each.prepare(path, "POST", [("Content-Length", str(n))]) + b"x" * n)
        for each, path in zip(self._clients, asked, strict=True):
            assert check(path, each.read_response(), n) == n
        return n


class Load:
    """Clients that ask on and on meanwhile, each in a thread of its own.

    Attributes:
        asked: how many responses have been right.
        failures: what was wrong with others.
    """

    def __init__(self, served: Served, count: int) -> None:
        self.asked = 0
        self.failures: list[BaseException] = []
        self._served = served
        self._over = Event()
        self._threads = [Thread(target=self._ask, daemon=True) for _ in range(count)]

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """They ask within the block; blocks at its end until they are done."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _ask(self) -> None:
        try:
            with self._served.client() as client:
                least = 0
                for path in cycle(PATHS):
                    if self._over.is_set():
                        return
                    # On one connection no response is older than the one before it.
                    least = check(path, client.get(path), least)
                    self.asked += 1
        except BaseException as error:
            self.failures.append(error)
