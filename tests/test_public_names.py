"""Tests use public names: no private members, and of our packages what stands in an `__all__`.

Those are the names of a package and of its folders. So a part can be made anew without its tests; where they
have to look inside, there is a `statistics()`, which operators have as well.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.test_architecture import MODULES, Module, exported, imports

TESTS = Path(__file__).parent
OURS = re.compile(r"httpng_\w+(\.\w+)*")
FOLDERS = {module.name: exported(MODULES, module.name) for module in MODULES if module.is_package}
FOLDERS["httpng_core.languages"] = exported(MODULES, "httpng_core.languages")
FOLDERS["httpng_core"] |= {"testing"}


def _lines(text: str) -> dict[str, set[str]]:
    """A line `a: b c` says that the file a uses b and c; there may be several of a file."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in text.strip().splitlines():
        here, names = line.strip().split(": ")
        found[here].update(names.split())
    return found


# What is wrong today, of imports, without "httpng_": a module, or a name that a folder doesn't have in its
# `__all__`. A name that is no longer used so has to go.
PRIVATE_IMPORTS = _lines(
    """
    backends/test_log_output: driver.command.log_output
    budget/test_http2_sends: asyncio.reactor driver.loop.accepted driver.loop.hub
    budget/test_metrics_calls: driver.loop.meter
    core/app/test_reload: core.sending.states
    core/app/test_static: core.app.directory core.http.preconditions core.testing.http1_client
    core/driving: core.app.application core.connection.no_date core.http.dates
    core/driving: core.sending.calls core.testing.http1_client
    core/driving2: core.testing.http2_client
    core/feeds/test_feed: core.feeds.follower core.sending.calls core.sending.host
    core/feeds/test_feed_loops: core.feeds.follower core.sending.calls
    core/feeds/test_filters: core.sending.calls
    core/feeds/test_many: core.sending.calls
    core/feeds/test_broadcast: core.feeds.follower
    core/http/test_conditions: core.http.dates core.http.media_types core.http.preconditions
    core/http/test_conditions: core.http.request
    core/http/test_response: core.http.response
    core/http1/reading: core.http1.parsed core.http1.parser core.http1.reference core.http1.refused
    core/http1/test_chunked: core.http1.chunked
    core/http1/test_head: core.http.request core.http1.head
    core/http1/test_http1_responses: core.config.settings core.http1.framer core.wire.frame
    core/http1/test_parser: core.errors core.http1.parsed core.http1.parser core.http1.reference
    core/http1/test_parser: core.http1.refused
    core/http1/test_streaming: core.http1.parsed core.http1.parser core.http1.refused
    core/http2/engine/driving: core.http2.engine.events core.http2.engine.frames
    core/http2/engine/driving: core.http2.engine.session core.http2.engine.session_config
    core/http2/engine/test_against_h2: core.http2.engine.errors core.http2.engine.events
    core/http2/engine/test_against_h2: core.http2.engine.session core.http2.engine.session_config
    core/http2/engine/conftest: core.http2.engine.session core.http2.reference.session
    core/http2/engine/test_both_sessions: core.http2.engine.errors core.http2.engine.events
    core/http2/engine/test_both_sessions: core.http2.engine.flow
    core/http2/engine/test_both_sessions: core.http2.engine.requests core.http2.engine.session
    core/http2/engine/test_both_sessions: core.http2.engine.session_config core.http2.engine.stream_states
    core/http2/engine/test_both_sessions: core.http2.reference.session
    core/http2/engine/test_budget: core.http2.engine.session
    core/http/test_forwarded: core.http.forwarded
    core/http2/engine/demands: core.http2.engine.errors core.http2.engine.frames
    core/http2/engine/test_demands: core.http2.engine.errors core.http2.engine.frames
    core/http2/engine/test_floods: core.http2.engine.errors core.http2.engine.flow
    core/http2/engine/test_floods: core.http2.engine.frames core.http2.engine.session
    core/http2/engine/test_floods: core.http2.engine.session_config
    core/http2/engine/test_flow: core.http2.engine.errors core.http2.engine.flow
    core/http2/engine/test_frames: core.http2.engine.errors core.http2.engine.frames
    core/http2/engine/test_hpack: core.http2.engine.errors core.http2.engine.hpack_decoder
    core/http2/engine/test_hpack: core.http2.engine.hpack_encoder core.http2.engine.hpack_huffman
    core/http2/engine/test_hpack: core.http2.engine.hpack_table
    core/http2/engine/test_likes: core.http2.engine.events core.http2.engine.requests
    core/http2/engine/test_likes: core.http2.engine.frames core.http2.engine.session_config
    core/http2/engine/test_limits: core.http2.engine.errors core.http2.engine.limits
    core/http2/engine/test_requests: core.http2.engine.requests
    core/http2/engine/test_session: core.http2.engine.errors core.http2.engine.events
    core/http2/engine/test_session: core.http2.engine.flow core.http2.engine.frames
    core/http2/engine/test_session: core.http2.engine.session core.http2.engine.session_config
    core/http2/engine/test_stream_states: core.http2.engine.stream_states
    core/http2/engine/test_take_requests: core.http2.engine.events core.http2.engine.frames
    core/http2/engine/test_take_requests: core.http2.engine.session core.http2.engine.session_config
    core/http2/engine/test_with_h2_client: core.http2.engine.events core.http2.engine.hpack_encoder
    core/http2/engine/test_with_h2_client: core.http2.engine.session core.http2.engine.session_config
    core/http2/test_http2_hpack: core.http2.reference.session core.http2.stream
    core/http2/test_http2_answers: core.testing.http2_client
    core/http2/test_http2_odd_ends: core.websocket.session
    core/http2/test_http2_requests: core.testing.http2_client
    core/http2/test_http2_sharing: core.testing.http2_client
    core/sealed: core.testing.http1_client
    core/sending/test_accounts: core.sending.calls core.sending.results core.timers
    core/sending/test_acked: core.sending.exchange core.sending.results
    core/sending/test_after_the_end: core.sending.ends core.sending.transport
    core/sending/test_after_the_end: core.sending.tunnel
    core/sending/test_auto_window: core.sending.auto_window
    core/sending/test_body: core.sending.body
    core/sending/test_cut_short: core.sending.states
    core/sending/test_end: core.sending.states
    core/sending/test_lag_book: core.sending.positions
    core/sending/test_path: core.sending.auto_window
    core/sending/test_results: core.sending.results
    core/sending/test_states: core.sending.states
    core/tls/test_tls: core.testing.http1_client core.tls.end core.tls.outbound
    core/tls/test_tls_certificates: core.tls.end core.tls.names
    core/tls/test_tls_records: core.tls.records
    core/tls/test_tls_sending: core.tls.end
    core/tls/test_tls_whole: core.testing.http1_client core.testing.http2_client core.tls.end
    core/wire/test_at_once: core.wire.at_once core.wire.outbound
    core/wire/test_endpoint: core.connection.no_date core.wire.endpoint core.wire.outbound
    core/wire/test_endpoint: core.wire.protocol
    core/wire/test_ledger: core.sending.outgoing core.wire.ledger
    core/wire/test_offer_size: core.wire.offer_size
    core/wire/test_outbound: core.http1.framer core.wire.offer_size core.wire.outbound
    core/wire/test_proxy_header: core.wire.proxy_header
    core/wire/test_scheduler: core.http.priority core.wire.scheduler
    core/websocket/speaking: core.sending.calls core.websocket.session
    core/websocket/test_closing: core.websocket.closing core.websocket.session
    core/websocket/test_http2: core.testing.http2_client core.websocket.session
    core/websocket/test_opening: core.websocket.session
    driver/test_acked: driver.loop.pump
    driver/test_arrivals: asyncio.reactor driver.handlers.driving driver.loop.accepted driver.loop.arrivals
    driver/test_arrivals: driver.loop.hub trio.reactor
    driver/test_asgi_errors: driver.handlers.asgi.errors
    driver/test_feed_totals: driver.handlers.feed_totals
    driver/test_feed_neighbours: driver.loop.pump
    driver/test_handlers: driver.serving.server
    driver/test_many_clients: driver.serving.server
    driver/test_selector_poller: driver.loop.turns
    driver/test_top: driver.command.asking driver.command.keyboard driver.command.top
    driver/test_top: driver.command.top_table
    lua/test_waits: lua.calls lua.handles
    properties/http1_judges: core.http1.parsed core.http1.parser core.http1.refused
    properties/test_core_parts: core.sending.body core.sending.calls core.sending.outgoing
    properties/test_core_parts: core.sending.positions core.sending.queue core.timers core.wire.ledger
    properties/test_core_parts: core.wire.offer_size
    properties/test_feed_properties: core.feeds.follower core.sending.calls
    properties/test_header_blocks: core.http1.head core.http1.parsed core.http1.parser core.http1.refused
    properties/test_http2_machine: core.testing.http2_client
    properties/test_parser_properties: core.http1.parsed
    properties/test_broadcast_machine: core.feeds.follower core.sending.calls core.testing.http1_client
    """
)


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def private_members(source: str) -> Iterator[str]:
    """The private attributes of others than `self` and `cls`."""
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own:
                yield node.attr


def private_imports(source: str) -> Iterator[str]:
    """The modules that are imported past public names, or such names; also what is replaced there."""
    found = [(one.origin, one.name) for one in imports(Module("tests", source))]
    for origin, name in [*found, *_replaced(source)]:
        if OURS.fullmatch(origin) and not _is_public(origin, name):
            past = f"{origin}.{name}" if origin in FOLDERS else origin
            yield past.removeprefix("httpng_")


def _replaced(source: str) -> Iterator[tuple[str, str | None]]:
    """What `monkeypatch.setattr("module.name", ...)` replaces."""
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "delattr")):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                origin, _, name = first.value.rpartition(".")
                yield origin, name


def _is_public(origin: str, name: str | None) -> bool:
    return origin in FOLDERS and (name is None or name in FOLDERS[origin])


def _found(of: Callable[[str], Iterator[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("*.py")):
        for name in of(path.read_text()):
            found[path.relative_to(TESTS).with_suffix("").as_posix()].add(name)
    return found


def test_no_private_members_are_used() -> None:
    assert _found(private_members) == {}


def test_no_private_names_are_imported_but_those_that_are_listed() -> None:
    assert _found(private_imports) == PRIVATE_IMPORTS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("server._hub.pumps", ["_hub"]),
        ("self._server._hub", ["_hub"]),
        ("a._b._c", ["_c", "_b"]),
        ("self._mine, cls._ours, a.public, a.__doc__, Hub.__init__.__kwdefaults__", []),
    ],
)
def test_private_members_are_seen(source: str, found: list[str]) -> None:
    assert list(private_members(source)) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from httpng_core.feeds.feed import Feed", ["core.feeds.feed"]),
        ("from httpng_driver.loop import hub", ["driver.loop.hub"]),
        ("from httpng_lua import Script", ["lua.Script"]),
        ("import httpng_core.timers", ["core.timers"]),
        ("patch.setattr('httpng_driver.loop.hub.CAN_TELL', 0)", ["driver.loop.hub"]),
        ("from httpng_core import Feed, testing", []),
        ("from httpng_core.feeds import Follower", []),
        ("from httpng_core.languages import Later", []),
        ("import httpng_core, httpng_core.testing, socket.x", []),
        ("patch.setattr(socket, 'socket', 0)", []),
        ("patch.setattr('os.path.join', 0)", []),
    ],
)
def test_private_imports_are_seen(source: str, found: list[str]) -> None:
    assert list(private_imports(source)) == found
