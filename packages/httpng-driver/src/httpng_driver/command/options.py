"""Every option once: its names, its group in the help, and in a line what it does and its unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from httpng_core import Settings

Kind = Literal["text", "flag", "switch", "list"]

_APPLICATION: Final = "application"
_LISTEN: Final = "where to listen"
_RUN: Final = "how it runs"
_SENDING: Final = "sending"
_REQUESTS: Final = "requests and connections"
_HTTP2: Final = "HTTP/2"
_TLS: Final = "TLS"
_LOG: Final = "log"
_WEBSOCKET: Final = "WebSocket"
_LUA: Final = "scripts in Lua"
_OTHER: Final = "other settings"
GROUPS: Final = (
    _APPLICATION, _LISTEN, _TLS, _RUN, _LOG, _SENDING, _REQUESTS, _HTTP2, _WEBSOCKET, _LUA, _OTHER,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option, by all its names.

    Attributes:
        key: its name in a configuration file.
        group: one of `GROUPS`.
        help: what it does, in a line.
        metavar: what its value is.
        names: as they are on the command line, the one to be told first.
        kind: a value, a flag with its `--no-`, one without, or something that may be given several times.
        words: what words of other servers stand for; empty: a value is taken as it is.
        is_setting: whether `Settings` has it.
    """

    key: str
    group: str
    help: str
    metavar: str = "VALUE"
    names: tuple[str, ...]
    kind: Kind = "text"
    words: Mapping[str, Any] = field(default_factory=dict)
    is_setting: bool = False


def _own(
    key: str,
    group: str,
    told: str,
    metavar: str = "",
    *others: str,
    kind: Kind = "text",
    words: Mapping[str, Any] | None = None,
) -> Option:
    names = (f"--{key.replace('_', '-')}", *others)
    return Option(key=key, group=group, help=told, metavar=metavar, names=names, kind=kind, words=words or {})


_OWN: Final = (
    _own("app_dir", _APPLICATION, "where the modules of APP are looked for (default: this folder)", "DIR"),
    _own("factory", _APPLICATION, "APP is a function without arguments that returns it", kind="flag"),
    _own("config", _APPLICATION, "read options and sites from a file of TOML, where they aren't given here",
         "FILE"),
    _own("check_config", _APPLICATION, "check all that can be without listening, and end", kind="switch"),
    _own("print_config", _APPLICATION, "print what counts and who says so, as TOML, and end", kind="switch"),
    _own("env_file", _APPLICATION, "read environment variables from a file first, NAME=VALUE a line", "FILE"),
    _own("listen", _LISTEN, "listen there; port 0 picks one; repeatable (default: 127.0.0.1:3300)",
         "ADDR:PORT", kind="list"),
    _own("host", _LISTEN, "the address to listen on, for --port (default: 127.0.0.1)", "ADDR"),
    _own("port", _LISTEN, "the port to listen on (default: 3300)", "PORT"),
    _own("uds", _LISTEN, "listen on a Unix socket", "PATH"),
    _own("fd", _LISTEN, "listen on a socket that is open already, by its descriptor; repeatable", "NUMBER",
         kind="list"),
    _own("proxy_protocol", _LISTEN, "a proxy says first who its client is, by the PROXY protocol, everywhere",
         kind="flag"),
    _own("certfile", _TLS, "serve TLS with this certificate wherever --listen doesn't say http://", "FILE",
         "--ssl-certfile"),
    _own("keyfile", _TLS, "its private key (default: in the same file)", "FILE", "--ssl-keyfile"),
    _own("keyfile_password", _TLS, "what the private key is encrypted with; rather use the variable", "TEXT",
         "--ssl-keyfile-password"),
    _own("log_level", _LOG, "the least that is logged: critical, error, warning, info, debug or trace",
         "LEVEL"),
    _own("log_config", _LOG, "configure logging by a file: .json, .toml, or an .ini as fileConfig reads",
         "FILE"),
    _own("lua", _LUA, "luajit21 or lua54, for an APP in Lua (default: luajit21)", "RUNTIME"),
)  # fmt: skip

_SETTINGS: Final[Mapping[str, tuple[str, str, str]]] = {
    "interface": (_APPLICATION, "WORD", "what functions are: auto, native, asgi or wsgi"),
    "root_path": (_APPLICATION, "PATH", "the path that a proxy takes off, for ASGI and WSGI applications"),
    "lifespan": (_APPLICATION, "WORD", "tell ASGI applications of start and stop: auto, on or off"),
    "disconnect_grace": (_APPLICATION, "SECONDS", "cancel an ASGI task so long after its client has gone"),
    "default_send_window": (_SENDING, "BYTES", "body bytes of an exchange in flight at most, or auto"),
    "default_window_until": (_SENDING, "UNTIL", "until when bytes are in flight: sent or acked"),
    "default_send_timeout": (_SENDING, "SECONDS", "how long a write or a wait may take"),
    "stall_timeout": (_SENDING, "SECONDS", "reset a response of which no byte moves for so long"),
    "headers": (_SENDING, "NAME:VALUE", "give each response this header; repeatable"),
    "backlog": (_LISTEN, "NUMBER", "connections that may wait in the kernel to be accepted"),
    "notsent_lowat": (_SENDING, "BYTES", "what the kernel may hold of a connection unsent; 0: as it likes"),
    "tcp_keepalive": (_SENDING, "SECONDS", "silence until the kernel probes for the client"),
    "cancel_on_half_close": (_SENDING, "WHEN", "take a client that sends no more for gone: streaming, "
                             "always or never"),
    "handshake_timeout": (_TLS, "SECONDS", "how long a handshake may take"),
    "min_proto_version": (_TLS, "VERSION", "the oldest version: tls1.2 or tls1.3, or one before these"),
    "openssl_security_level": (_TLS, "LEVEL", "what OpenSSL refuses as too weak, 0 to 5"),
    "header_timeout": (_REQUESTS, "SECONDS", "how long a request head may take"),
    "body_timeout": (_REQUESTS, "SECONDS", "how long may pass without a byte of a request body"),
    "min_body_rate": (_REQUESTS, "BYTES", "bytes a second that a request body must bring; 0: any"),
    "keepalive_timeout": (_REQUESTS, "SECONDS", "how long a connection may wait for its next request"),
    "shutdown_timeout": (_RUN, "SECONDS", "how long exchanges may go on after SIGTERM"),
    "max_body_len": (_REQUESTS, "BYTES", "the longest request body that is read whole"),
    "stream_bodies": (_REQUESTS, "", "start handlers that can read a request body before it is in"),
    "max_stream_len": (_REQUESTS, "BYTES", "the longest request body that is read while it comes in"),
    "max_fields": (_REQUESTS, "NUMBER", "the most header fields of a request"),
    "shuttle_size": (_REQUESTS, "BYTES", "the longest request head"),
    "use_body_split": (_OTHER, "", "taken for compatibility, has no effect"),
    "max_conn_per_thread": (_REQUESTS, "NUMBER", "connections open in each thread at most"),
    "max_connections_per_address": (_REQUESTS, "NUMBER", "connections of one client at most; more are reset"),
    "max_exchanges": (_REQUESTS, "NUMBER", "exchanges that run at most; more get 503"),
    "memory_budget": (_REQUESTS, "BYTES", "held for clients at most; exchanges that stand still are ended"),
    "access_log": (_LOG, "", "log a line for each request"),
    "h2c_upgrade": (_HTTP2, "", "allow the upgrade to HTTP/2 in clear text"),
    "http1_engine": (_REQUESTS, "ENGINE", "what reads HTTP/1.1: fast, or reference (h11)"),
    "http2_engine": (_HTTP2, "ENGINE", "what speaks HTTP/2: fast, or reference (h2)"),
    "max_reset_rate": (_HTTP2, "NUMBER", "requests a second that a client may begin in vain"),
    "max_control_rate": (_HTTP2, "NUMBER", "frames a second without content that a client may send"),
    "ws": (_WEBSOCKET, "WORD", "whether WebSockets are accepted: auto or none"),
    "ws_max_size": (_WEBSOCKET, "BYTES", "the longest message that is received"),
    "ws_max_queue": (_WEBSOCKET, "NUMBER", "received messages that may wait for the application"),
    "ws_ping_interval": (_WEBSOCKET, "SECONDS", "how often a client is pinged"),
    "ws_ping_timeout": (_WEBSOCKET, "SECONDS", "how long a client may take to answer a ping"),
    "ws_per_message_deflate": (_WEBSOCKET, "", "compress messages, where the client does too"),
    "ws_close_timeout": (_WEBSOCKET, "SECONDS", "how long the closing handshake may take"),
    "admin": (_LISTEN, "PLACE", "where operators ask, and httpng top: unix:PATH or a loopback ADDR:PORT"),
    "confirm_every": (_SENDING, "BYTES", "have a client confirm after so many bytes, if it is to confirm"),
    "confirm_interval": (_SENDING, "SECONDS", "or after so long"),
    "confirm_timeout": (_SENDING, "SECONDS", "reset a response whose client confirms nothing for so long"),
    "workers": (_RUN, "NUMBER", "processes that serve"),
    "reload": (_RUN, "", "start anew when a file of the application changes"),
    "max_requests": (_RUN, "NUMBER", "requests after which a process is replaced"),
    "max_requests_jitter": (_RUN, "NUMBER", "how many more requests that may be, by chance"),
    "worker_max_rss": (_RUN, "BYTES", "the memory of a process at which it is replaced"),
    "trusted_proxies": (_REQUESTS, "ADDRESSES", "proxies that are believed who their client is; repeatable"),
    "forwarded_header": (_REQUESTS, "NAME", "how proxies say who their client is: x-forwarded or forwarded"),
    "access_log_format": (_LOG, "FORMAT", "the lines of the access log: text or json"),
    "threads": (_RUN, "NUMBER", "threads that run an event loop each"),
    "thread_termination_timeout": (_RUN, "SECONDS", "how long threads that are to go may finish"),
    "sandbox": (_LUA, "", "give the script only what does no harm outside of it"),
    "lua_memory_limit": (_LUA, "BYTES", "what the Lua state may take"),
    "handler_time_limit": (_LUA, "SECONDS", "how long Lua may run without letting others run"),
}  # fmt: skip

_OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "keepalive_timeout": ("--timeout-keep-alive",),
    "shutdown_timeout": ("--timeout-graceful-shutdown",),
    "http1_engine": ("--http",),
    "headers": ("--header",),
    "trusted_proxies": ("--forwarded-allow-ips",),
    "max_conn_per_thread": ("--limit-concurrency",),
}
# What stands first is told first; the setting's own name is right as well.
_SHORT_NAMES: Final = {"default_send_window": "--send-window", "default_send_timeout": "--send-timeout"}
_LISTS: Final = frozenset({"headers", "trusted_proxies"})
_WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "http1_engine": {"auto": "fast", "httptools": "fast", "h11": "reference"},
    "ws": {"websockets": "auto", "websockets-sansio": "auto", "wsproto": "auto"},
}


def _of_setting(name: str, default: object) -> Option:
    group, metavar, told = _SETTINGS.get(name, (_OTHER, "VALUE", "see the page of the settings"))
    short = (_SHORT_NAMES[name],) if name in _SHORT_NAMES else ()
    return Option(
        key=name,
        group=group,
        help=f"{told} (default: {_shown(default)})",
        metavar=metavar,
        names=(*short, f"--{name.replace('_', '-')}", *_OTHER_NAMES.get(name, ())),
        kind="flag"
        if isinstance(default, bool)
        else "list"
        if name in ("headers", "trusted_proxies")
        else "text",
        words=_WORDS.get(name, {}),
        is_setting=True,
    )


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else "none" if default is None else str(default)


def options(loops: Sequence[str]) -> list[Option]:
    """Return all options of a backend that runs on `loops`, in the order of their groups."""
    told = f"the event loop: {', '.join(loops)}"
    found = [*_OWN, _own("loop", _RUN, told, "LOOP")]
    if "uvloop" in loops:
        found.append(_own("uvloop", _RUN, "run on uvloop (default: if it is installed)", kind="flag"))
    found += [_of_setting(one.name, one.default) for one in fields(Settings)]
    return sorted(found, key=lambda option: GROUPS.index(option.group))


# What other servers call it, where that isn't its name here.
ELSEWHERE: Final = {
    "--listen": ("addr", "address", "b", "bind", "ip", "p", "socket"),
    "--certfile": ("c", "cert", "certificate", "ssl", "ssl-cert", "tls", "tls-cert"),
    "--keyfile": ("k", "key", "private-key", "ssl-key", "tls-key"),
    "--threads": ("t", "thread"),
    "--workers": ("processes", "w", "worker"),
    "--access-log": ("access-logfile", "accesslog", "log", "log-requests"),
    "--keepalive-timeout": ("keep-alive", "keepalive"),
    "--shutdown-timeout": ("graceful-timeout",),
    "--max-body-len": ("limit-request-body", "max-body-size", "max-request-size"),
    "--app-dir": ("chdir",),
}
