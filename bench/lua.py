"""Handlers in Lua: what they cost beside the same handlers in Python, and beside nginx with Lua.

Requests: wrk asks for hello over keep-alive connections, from httpng with a handler in Lua, `def` and `async
def`, with one loop and with four in threads, and from nginx with Lua. What counts is how many requests a
server answers per second of its own CPU time, of all its threads: absolute figures on a shared machine mean
little, so the servers alternate and ratios are taken within a round. httpng is on uvloop.

Writes: in process, what a write with room costs from Lua beside the core alone, see lua_writes.py. The
difference is to be less than 5 µs, which the exit status tells.

    python bench/lua.py [--rounds 5] [--seconds 3] [--only NAME ...] [--save]

wrk: Debian: apt-get install wrk. nginx with Lua, which is left out if it isn't installed: nginx-light
libnginx-mod-http-lua.
"""

import argparse
import json
import platform
import statistics
import sys
from dataclasses import asdict, dataclass

from lua_writes import CORE, measure  # type: ignore[import-not-found]
from servers import (  # type: ignore[import-not-found]
    HERE,
    NGINX,
    Server,
    commit,
    cpu_seconds,
    python,
    running,
)
from wrk import CONNECTIONS, load, wait_for_hello  # type: ignore[import-not-found]

LIMIT = 5e-6
"""How much more than the core alone a write from Lua may cost, in seconds."""
WRITE_ROUNDS = 200
_MODULES = "/usr/lib/nginx/modules"


def _httpng(app: str, *options: str) -> tuple[str, ...]:
    listen = ("--listen", "127.0.0.1:PORT", "--uvloop")
    command: tuple[str, ...] = python("-m", "httpng_asyncio", app, *listen, *options)
    return command


_LUA = str(HERE / "hello.lua")
_DEF, _ASYNC_DEF = "bench_apps:hello_plain", "bench_apps:hello_async"
_FOUR = ("--threads", "4")
_NGINX_CONF = f"""
    load_module {_MODULES}/ndk_http_module.so;
    load_module {_MODULES}/ngx_http_lua_module.so;
    daemon off; master_process off; pid TMP/nginx.pid;
    events {{ }}
    http {{
        access_log off; keepalive_requests 1000000000;
        server {{
            listen 127.0.0.1:PORT;
            location / {{
                content_by_lua_block {{
                    ngx.header['content-type'] = 'text/plain; charset=utf-8'
                    ngx.header['content-length'] = 5
                    ngx.print('hello')
                }}
            }}
        }}
    }}
"""

SERVERS: tuple[Server, ...] = (
    Server("LuaJIT", _httpng(_LUA)),
    Server("Lua 5.4", _httpng(_LUA, "--lua", "lua54")),
    Server("def", _httpng(_DEF)),
    Server("async def", _httpng(_ASYNC_DEF)),
    Server("LuaJIT, 4 threads", _httpng(_LUA, *_FOUR)),
    Server("def, 4 threads", _httpng(_DEF, *_FOUR)),
    Server("async def, 4 threads", _httpng(_ASYNC_DEF, *_FOUR)),
    Server("nginx with Lua", NGINX, f"{_MODULES}/ngx_http_lua_module.so", _NGINX_CONF),
)
COMPARED = (
    ("LuaJIT", "def"),
    ("LuaJIT", "async def"),
    ("LuaJIT", "nginx with Lua"),
    ("Lua 5.4", "def"),
    ("LuaJIT, 4 threads", "LuaJIT"),
    ("def, 4 threads", "def"),
    ("async def, 4 threads", "async def"),
)
"""Which servers are told in terms of which."""

Rounds = dict[str, list[float]]


@dataclass(frozen=True)
class Ratio:
    """Requests per CPU second of one server in terms of another's: the median over the rounds."""

    server: str
    of: str
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Write:
    """What a write costs, in seconds: the least of all rounds, and how much that is over the core's."""

    by: str
    least: float
    over_core: float


def main() -> int:
    """Measures and prints two tables; the exit status tells whether writes from Lua are cheap enough."""
    options = _options()
    wanted = [one for one in SERVERS if not options.only or one.name in options.only]
    missing = [one.name for one in wanted if not one.is_installed]
    for name in missing:
        print(f"not installed, so not measured: {name}")
    rates = _requests([one for one in wanted if one.is_installed], options)
    ratios = _ratios(rates)
    costs = measure(WRITE_ROUNDS)
    writes = _writes(costs)
    if options.save:
        _save(rates, ratios, costs, writes, missing, options)
    return 0 if all(write.over_core < LIMIT for write in writes) else 1


def _requests(servers: list[Server], options: argparse.Namespace) -> Rounds:
    rates: Rounds = {server.name: [] for server in servers}
    for round_ in range(options.rounds):
        for server in servers:
            rate = _rate(server, options.seconds)
            rates[server.name].append(rate)
            print(f"round {round_ + 1}  {server.name:22}{rate:9.0f} requests per CPU second", flush=True)
    return rates


def _rate(server: Server, seconds: float) -> float:
    """Requests answered per CPU second of the server."""
    with running(server, {}) as (port, session):
        wait_for_hello(port)
        load(port, 0.5)
        before = cpu_seconds(session)
        answered = load(port, seconds)
        spent: float = cpu_seconds(session) - before
        return float(answered) / spent


def _ratios(rates: Rounds) -> list[Ratio]:
    print(f"\n{'requests per CPU second':24} {'median':>8} {'min':>8} {'max':>8}")
    for name, own in rates.items():
        print(f"{name:24} {statistics.median(own):8.0f} {min(own):8.0f} {max(own):8.0f}")
    print("\nmedians of the ratios within a round, and their range")
    told = []
    for name, base in COMPARED:
        if name in rates and base in rates:
            each = [a / b for a, b in zip(rates[name], rates[base], strict=True)]
            told.append(Ratio(name, base, statistics.median(each), min(each), max(each)))
            print(f"{name:20} {told[-1].median:5.2f} of {base:16} {min(each):5.2f} .. {max(each):.2f}")
    return told


def _writes(costs: Rounds) -> list[Write]:
    print(f"\na write with room, the least of {WRITE_ROUNDS} rounds")
    floor, told = min(costs[CORE]), []
    for name, own in costs.items():
        told.append(Write(name, min(own), min(own) - floor))
        over = f"{told[-1].over_core * 1e6:6.2f} µs more" if name != CORE else ""
        print(f"{name:12} {min(own) * 1e6:6.2f} µs  {over}")
    return told


def _save(
    rates: Rounds,
    ratios: list[Ratio],
    costs: Rounds,
    writes: list[Write],
    missing: list[str],
    options: argparse.Namespace,
) -> None:
    path = HERE / "results" / f"lua-{commit()}.json"
    about = {"commit": commit(), "python": platform.python_version(), "kernel": platform.release()}
    how = {"seconds": options.seconds, "connections": CONNECTIONS, "not_installed": missing}
    requests = {"ratios": [asdict(each) for each in ratios], "rounds": rates}
    in_process = {"report": [asdict(each) for each in writes], "rounds": costs}
    path.write_text(json.dumps({**about, **how, "requests": requests, "writes": in_process}, indent=1) + "\n")
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
