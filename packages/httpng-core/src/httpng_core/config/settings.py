"""Settings: every key, its default and its range, each written once, in the fields of `Settings`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Literal, TypeVar, cast, get_args

from httpng_core.config.address import ListenAddress
from httpng_core.config.admin import AdminPlace
from httpng_core.config.nearest import nearest_key as nearest_key
from httpng_core.config.nearest import unknown_key as unknown_key
from httpng_core.config.rules import (
    HeaderFields,
    Networks,
    Number,
    OldestTls,
    OneOf,
    ProtoVersion,
    RootPath,
    Seconds,
    SecurityLevel,
    Whole,
)
from httpng_core.config.types import WindowSize
from httpng_core.errors import ConfigError

HalfClose = Literal["streaming", "always", "never"]
Engine = Literal["fast", "reference"]
LogFormat = Literal["text", "json"]
ForwardedHeader = Literal["x-forwarded", "forwarded"]
LuaRuntime = Literal["luajit21", "lua54"]
Interface = Literal["auto", "native", "asgi", "wsgi"]
AsgiLifespanMode = Literal["auto", "on", "off"]
WebSockets = Literal["auto", "none"]

_T = TypeVar("_T")


_RULE: Final = "rule"
_FIXED_FLAG: Final = "fixed"
_HALF_CLOSE: Final = OneOf(get_args(HalfClose))
_ENGINE: Final = OneOf(get_args(Engine))
_FORWARDED: Final = OneOf(get_args(ForwardedHeader))
_UNTIL: Final = OneOf(("sent", "acked"))
_LOG_FORMAT: Final = OneOf(get_args(LogFormat))
_FLAG: Final = OneOf((True, False))
_SHUTTLE: Final = Whole(1024, 16 << 20)
_RUNTIME: Final = OneOf(get_args(LuaRuntime))
_INTERFACE: Final = OneOf(get_args(Interface))
_LIFESPAN: Final = OneOf(get_args(AsgiLifespanMode))
_WEB_SOCKETS: Final = OneOf(get_args(WebSockets))
_RUNTIME_DEFAULT: Final[LuaRuntime] = "luajit21"


_Rule = (
    Whole
    | Seconds
    | Number
    | OneOf
    | RootPath
    | OldestTls
    | SecurityLevel
    | Networks
    | HeaderFields
    | AdminPlace
)


def _key(default: _T, rule: _Rule, *, fixed: bool = False) -> _T:
    """Return a setting; one that is `fixed` can't be changed while a server runs."""
    return field(default=default, metadata={_RULE: rule, _FIXED_FLAG: fixed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server runs with; `Settings()` has every default.

    Sizes are bytes, timeouts are seconds, and infinity waits for ever. Make one from what a user wrote
    with `parse_settings`, which checks it; the constructor itself does not.

    Attributes:
        default_send_window: How many body bytes of an exchange may be in flight; `io.send_window` wins over
            it. "auto" follows the path to the client, counted until acknowledged.
        default_window_until: Whether bytes are in flight until the TCP/IP stack has taken them ("sent"), or
            until the client's TCP has acknowledged them ("acked"); `io.window_until` wins over it.
        default_send_timeout: How long a call may wait. `io.send_timeout` wins over it, and the call's own
            timeout over both.
        stall_timeout: How long no byte may move in the flush after the handler, neither to the TCP/IP stack
            nor to the client's TCP, before the exchange is reset.
        headers: Header fields that each response gets, unless its handler gives them itself. `None`: none.
        notsent_lowat: How much the kernel may hold of a connection before it calls the socket full
            (`TCP_NOTSENT_LOWAT`); 0 leaves that as the system has it.
        tcp_keepalive: After how many seconds of silence the kernel probes whether the client is still there
            (`TCP_KEEPIDLE`); one that doesn't answer is gone a minute later. Infinity: never.
        cancel_on_half_close: Whether a client that has shut its sending side is taken for gone: once the
            response streams, always, or never.
        handshake_timeout: How long a TLS handshake may take; then the connection is closed.
        header_timeout: How long a request head may take, from the connection's start or the request's first
            byte. A client that is late gets 408, or, if it has sent nothing, just the close.
        body_timeout: How long may pass without a byte of the request body; then 408. If the handler reads
            it, only while that waits.
        min_body_rate: How many bytes a second of a request body must come on the average, once it has had 5
            seconds; from a slower client it is refused with 408. What came faster pays for a pause of
            `body_timeout` at most. On HTTP/2 all bodies of a connection together. 0: as slowly as it likes.
        keepalive_timeout: How long a connection may wait for its next request.
        shutdown_timeout: How long exchanges may go on once the server stops; then they are cancelled.
        max_body_len: The longest request body that is read whole into memory before the handler runs; a
            longer one gets 413.
        stream_bodies: Whether handlers that can read a request's body start before it is in; a site's own
            `stream_body` wins over it, and a route's over both.
        max_stream_len: The longest request body that is read while it comes in; a longer one gets 413, or the
            exchange is reset if its response has begun. `None`: as long as it likes. `max_body_len` doesn't
            bound these.
        max_fields: The most header fields of a request, and the most fields of its trailers; more get 431.
        http1_engine: What reads HTTP/1.1 requests: "fast", a grammar of httpng's own, or "reference", h11, to
            tell whose fault it is when a request is refused. It is slower, and takes some of what RFC 9112
            forbids and others take.
        use_body_split: Taken for compatibility, has no effect.
        backlog: How many connections may wait in the kernel, at each listener, until they are accepted.
        max_conn_per_thread: How many connections are open at once in each thread. For a further one the
            kept-alive connection gives way that has been idle longest; while none is, it waits in the kernel.
        max_connections_per_address: How many connections one client may have at once, in the whole process; a
            further one is reset. Of IPv6 the first 64 bits of the address tell clients apart. Unix sockets,
            and those that `trusted_proxies` open, aren't counted. `None`: as many as it likes.
        max_exchanges: How many exchanges run at once in the whole process; a request beyond gets 503 with
            Retry-After. `None`: as many as come.
        memory_budget: How many bytes of bodies, send windows and what is read ahead the whole process holds
            for clients. Once it is reached, exchanges that stand still are ended, the longest first, and new
            ones get 503 with Retry-After while that isn't enough; see "Budgets" in "Run in production".
            `None`: as much as the other limits allow.
        access_log: Whether every request gets a line in the log `httpng.access`, refused ones included.
        access_log_format: Whether those lines are "text" or "json"; see "The access log".
        h2c_upgrade: Whether a client may go on with HTTP/2 after a request with `Upgrade: h2c` in clear text.
        http2_engine: What reads HTTP/2 on new connections: the server's own implementation ("fast"), or the
            library h2 ("reference"), which is slower and there to tell whose fault it is when a client is
            refused.
        max_reset_rate: How many requests a second a client of HTTP/2 may make us begin in vain, by cancelling
            them or by mistakes, with bursts of twice that; each that is answered allows half a one more.
            Beyond, the connection ends with ENHANCE_YOUR_CALM.
        max_control_rate: How many frames of HTTP/2 a second that say nothing by themselves a client may send
            (PING, SETTINGS, window updates), with bursts of ten times that; answers and what is sent allow
            more. Beyond, the connection ends likewise.
        ws: Whether handlers may accept WebSockets: "auto", or "none". Then ASGI applications get what asks
            for one as a request like any other, `accept_websocket` answers with 501, HTTP/2 offers none.
        ws_max_size: The longest message that a WebSocket takes, in bytes, once it is inflated. A client that
            sends a longer one is told so with 1009.
        ws_max_queue: How many messages of a client may wait for its handler, who together have no more than
            `ws_max_size` bytes or are one; then nothing more is read from it.
        ws_ping_interval: After how many seconds the client of a WebSocket is pinged. Infinity: never.
        ws_ping_timeout: After how many seconds without an answer to a ping the client is gone. They don't
            count while the ping is on its way behind bytes that move, nor while nothing is read.
        ws_per_message_deflate: Whether messages are compressed with clients that offer it.
        ws_close_timeout: How long the closing handshake of a WebSocket may take, until all is sent and the
            client has answered; then the exchange is given up.
        admin: Where operators ask the server and end exchanges: a Unix socket ("unix:PATH"), or an address of
            this machine for itself; see "See what a server does". `None`: nowhere.
        confirm_every: How many bytes are sent at most until a client whose confirmations are asked for is
            asked for the next one, unless one is under way; see "Confirmed by the client".
        confirm_interval: After how many seconds it is asked at the latest. It is asked at once while a call
            waits for its answer.
        confirm_timeout: After how many seconds without an answer the exchange is reset: the client stalls.
            They don't count while the question is on its way behind bytes that move, nor while nothing is
            read.
        threads: How many threads run an event loop each.
        workers: How many processes serve, each with its own event loops. For `run` and the command line: each
            process is the program, run anew.
        reload: Whether workers are replaced when a file of the application changes; for development.
        max_requests: After how many requests a worker is replaced. `None`: never for that.
        max_requests_jitter: How many more requests that may be, by chance, so that workers don't go together.
        worker_max_rss: At how many bytes of memory a worker is replaced. `None`: never for that.
        thread_termination_timeout: How long threads that are to go may finish what they have; 0 or less: as
            long as it takes.
        interface: What functions are: handlers of httpng ("native"), ASGI applications, WSGI applications, or
            each what it looks like ("auto").
        root_path: Under which path a proxy has the ASGI and WSGI applications, if it takes that off: they
            find it in `root_path`, and before the path of each request.
        lifespan: Whether ASGI applications are told of the server's start and end: if they understand it
            ("auto"), always ("on": one that doesn't is an error), or never ("off").
        disconnect_grace: How long an ASGI application may go on with a response whose client is gone; then
            its task is cancelled. Infinity: never.
        sandbox: Whether a Lua script gets only what can do no harm outside of it.
        lua_memory_limit: How many bytes the Lua state may take. What would take more raises `not enough
            memory`. `None`: as much as there is.
        handler_time_limit: How long Lua may run without letting others run, by the server's clock. What runs
            longer is stopped by an error. It turns LuaJIT's compiler off, as does `lua_memory_limit`. `None`,
            or infinity: as long as it likes.
        trusted_proxies: The proxies that are believed who their client is, which scheme it uses, and which
            host it names: `Request.peer`, `https` and `host` are what they say. `None`: none are.
        forwarded_header: What they say it by: "x-forwarded" (X-Forwarded-For, -Proto and -Host), or
            "forwarded" (RFC 7239). The other is not looked at: a proxy may pass on what a client made up.
        shuttle_size: The longest request head; a longer one gets 431. The name is that of the original.
        min_proto_version: The oldest version of TLS that is spoken.
        openssl_security_level: What OpenSSL refuses as too weak, from nothing (0) to nearly all (5).
    """

    default_send_window: WindowSize = _key(1 << 20, Whole(0, word="auto"))  # noqa: RUF009 - an integer
    default_window_until: Literal["sent", "acked"] = _key("sent", _UNTIL)
    default_send_timeout: float = _key(30.0, Seconds(zero=True))
    stall_timeout: float = _key(30.0, Seconds())
    headers: tuple[tuple[str, str], ...] | None = _key(None, HeaderFields())
    notsent_lowat: int = _key(16384, Whole(0, (1 << 31) - 1), fixed=True)
    tcp_keepalive: float = _key(60.0, Seconds(), fixed=True)
    cancel_on_half_close: HalfClose = _key("streaming", _HALF_CLOSE)  # noqa: RUF009 - a string, whatever it is called
    handshake_timeout: float = _key(10.0, Seconds(infinity=False))
    header_timeout: float = _key(10.0, Seconds())
    body_timeout: float = _key(30.0, Seconds())
    min_body_rate: int = _key(240, Whole(0, 1 << 30))
    keepalive_timeout: float = _key(75.0, Seconds())
    shutdown_timeout: float = _key(10.0, Seconds(zero=True, infinity=False))
    max_body_len: int = _key(1 << 20, Whole(0, 64 << 30))
    stream_bodies: bool = _key(False, _FLAG)
    max_stream_len: int | None = _key(None, Whole(0))
    max_fields: int = _key(256, Whole(1, 65536))
    http1_engine: Engine = _key("fast", _ENGINE, fixed=True)  # noqa: RUF009 - a string, whatever it is called
    use_body_split: bool = _key(False, _FLAG)
    backlog: int = _key(1024, Whole(1, (1 << 31) - 1), fixed=True)
    max_conn_per_thread: int = _key(65536, Whole(1, 1 << 20))
    max_connections_per_address: int | None = _key(None, Whole(1))
    max_exchanges: int | None = _key(None, Whole(1))
    memory_budget: int | None = _key(None, Whole(1 << 20))
    access_log: bool = _key(False, _FLAG)
    access_log_format: LogFormat = _key("text", _LOG_FORMAT)  # noqa: RUF009 - a string, whatever it is called
    h2c_upgrade: bool = _key(False, _FLAG)
    http2_engine: Engine = _key("fast", _ENGINE)  # noqa: RUF009 - a string, whatever it is called
    max_reset_rate: float = _key(100.0, Seconds())
    max_control_rate: float = _key(100.0, Seconds())
    ws: WebSockets = _key("auto", _WEB_SOCKETS)  # noqa: RUF009 - a string, whatever it is called
    ws_max_size: int = _key(16 << 20, Whole(1, 1 << 30))
    ws_max_queue: int = _key(32, Whole(1, 65536))
    ws_ping_interval: float = _key(20.0, Seconds())
    ws_ping_timeout: float = _key(20.0, Seconds())
    ws_per_message_deflate: bool = _key(True, _FLAG)
    ws_close_timeout: float = _key(10.0, Seconds(zero=True))
    admin: ListenAddress | None = _key(None, AdminPlace(), fixed=True)  # noqa: RUF009 - nothing, or frozen
    confirm_every: int = _key(16384, Whole(1, (1 << 31) - 1))
    confirm_interval: float = _key(0.1, Seconds(zero=True))
    confirm_timeout: float = _key(30.0, Seconds())
    threads: int = _key(1, Whole(1, 16))
    workers: int = _key(1, Whole(1, 1024), fixed=True)
    reload: bool = _key(False, _FLAG, fixed=True)
    max_requests: int | None = _key(None, Whole(1), fixed=True)
    max_requests_jitter: int = _key(0, Whole(0), fixed=True)
    worker_max_rss: int | None = _key(None, Whole(1 << 20), fixed=True)
    thread_termination_timeout: float = _key(60.0, Number())
    interface: Interface = _key("auto", _INTERFACE, fixed=True)  # noqa: RUF009 - a string, whatever it is called
    root_path: str = _key("", RootPath(), fixed=True)
    lifespan: AsgiLifespanMode = _key("auto", _LIFESPAN, fixed=True)  # noqa: RUF009 - a string, whatever it is called
    disconnect_grace: float = _key(3.0, Seconds(zero=True))
    sandbox: bool = _key(False, _FLAG, fixed=True)
    lua_memory_limit: int | None = _key(None, Whole(1 << 20), fixed=True)
    handler_time_limit: float | None = _key(None, Seconds(), fixed=True)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] | None = _key(None, Networks())
    forwarded_header: ForwardedHeader = _key("x-forwarded", _FORWARDED)  # noqa: RUF009 - a string, whatever it is called
    shuttle_size: int = _key(65536, _SHUTTLE, fixed=True)
    # Looked at last, as the original does.
    min_proto_version: ProtoVersion = _key("tls1.2", OldestTls(), fixed=True)  # noqa: RUF009 - a string, whatever it is called
    openssl_security_level: int = _key(1, SecurityLevel(), fixed=True)


_RULES: Final[Mapping[str, _Rule]] = {one.name: one.metadata[_RULE] for one in fields(Settings)}
_FIXED: Final = tuple(one.name for one in fields(Settings) if one.metadata[_FIXED_FLAG])
_LATE_KEYS: Final = frozenset({"min_proto_version", "openssl_security_level", "shuttle_size"})
OWN_KEYS: Final = frozenset({"handler", "listen", "lua", "sites", "uvloop"})
"""The keys that are no settings: handlers, where to listen, and what runs all this."""
LUA_KEYS: Final = ("sandbox", "lua_memory_limit", "handler_time_limit")
"""Settings of the Lua state: they say what it is, so they can't be changed once it is there."""
ASGI_KEYS: Final = ("interface", "root_path", "lifespan", "disconnect_grace")
"""Settings of applications in Python that aren't written for httpng."""
_KNOWN: Final = sorted(_RULES.keys() | OWN_KEYS)


def parse_settings(
    cfg: Mapping[str, object], *, lua_handler: bool = False, running: Settings | None = None
) -> Settings:
    """Check what a user wrote and fill in the defaults, which None stands for.

    The keys `handler`, `listen`, `lua`, `sites` and `uvloop` are known here and left to the caller.

    Args:
        cfg: Values by key, as `run`, `serve` and the cfg table of Lua take them.
        lua_handler: Whether a Lua handler will run, which has a word of its own for a small shuttle_size.
        running: Those of the server that runs: what can't be changed is kept where `cfg` doesn't name it.

    Raises:
        ConfigError: A key is unknown, a value has a wrong type or is out of range, or
            can't be changed while the server runs.
    """
    _refuse_other_keys(cfg)
    values: dict[str, Any] = {
        name: rule.read(name, cfg[name]) for name, rule in _RULES.items() if cfg.get(name) is not None
    }
    if lua_handler and values.get("shuttle_size", _SHUTTLE.low) < _SHUTTLE.low:
        raise ConfigError("shuttle_size is too small for Lua handlers")
    for name, value in values.items():
        _check_range(name, _RULES[name], value, cfg[name])
    settings = Settings(**values)
    return settings if running is None else _with_kept(settings, cfg, running)


def check_before_handlers(cfg: Mapping[str, object], running: Settings | None = None) -> None:
    """Check what the original looks at before sites and handlers; `parse_settings` does the rest after.

    Raises:
        ConfigError: See `parse_settings`.
    """
    parse_settings({name: value for name, value in cfg.items() if name not in _LATE_KEYS})
    if "shuttle_size" not in cfg:
        return
    # Its type is a matter of this stage, its minimum isn't.
    given = cfg["shuttle_size"]
    size = Settings().shuttle_size if given is None else _SHUTTLE.read("shuttle_size", given)
    if running is not None:
        _check_kept("shuttle_size", size, running)


def unchangeable(name: str) -> ConfigError:
    """Return the error for a key that can't have another value while a server runs."""
    if name == "shuttle_size":
        return ConfigError("Reconfiguration can't change shuttle_size")
    return ConfigError(f"{name} can't be changed on reconfiguration")


def parse_lua_runtime(value: object) -> LuaRuntime:
    """Return the Lua that a script asks for with the key `lua`; None is the default.

    Raises:
        ConfigError: It is none of those that httpng runs.
    """
    if value is None:
        return _RUNTIME_DEFAULT
    _check_range("lua", _RUNTIME, value, value)
    return cast(LuaRuntime, value)


def refuse_lua_keys(cfg: Mapping[str, object]) -> None:
    """Refuse what only applications in Lua can have.

    Raises:
        ConfigError: One of the keys of the Lua state is given.
    """
    for name in ("lua", *LUA_KEYS):
        if cfg.get(name) is not None:
            raise ConfigError(f"{name} is for applications in Lua")


def refuse_asgi_keys(cfg: Mapping[str, object]) -> None:
    """Refuse what only applications in Python can have.

    Raises:
        ConfigError: One of the keys for ASGI applications is given.
    """
    for name in ASGI_KEYS:
        if cfg.get(name) is not None:
            raise ConfigError(f"{name} is for applications in Python")


def parse_uvloop(value: object) -> bool | None:
    """Return whether an application asks for uvloop; None: it leaves that to who runs it.

    Raises:
        ConfigError: It is neither true nor false.
    """
    if value is None:
        return None
    _check_range("uvloop", _FLAG, value, value)
    return value is True


def _refuse_other_keys(cfg: Mapping[str, object]) -> None:
    for name, value in cfg.items():
        if name == "c_sites_func":
            _refuse_native_handlers(value)
        elif name not in _KNOWN:
            raise unknown_key(name, _KNOWN)


def _refuse_native_handlers(value: object) -> None:
    if value is None:
        return
    if not callable(value):
        raise ConfigError("c_sites_func must be a function")
    raise ConfigError("c_sites_func: native C handlers are not supported")


def _with_kept(settings: Settings, cfg: Mapping[str, object], running: Settings) -> Settings:
    """Return `settings` with the fixed ones as they run; one that `cfg` names, even as None, must be so."""
    for name in _FIXED:
        if name in cfg:
            _check_kept(name, getattr(settings, name), running)
    return replace(settings, **{name: getattr(running, name) for name in _FIXED})


def _check_kept(name: str, value: object, running: Settings) -> None:
    if value != getattr(running, name):
        raise unchangeable(name)


def _check_range(name: str, rule: _Rule, value: Any, given: object) -> None:
    if not rule.takes(value):
        raise ConfigError(f"{name} is {given!r}, must be {rule.range}")
