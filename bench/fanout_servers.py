"""The servers that fanout.py measures: one worker each."""

from peers import granian, uvicorn  # type: ignore[import-not-found]
from servers import HERE, NGINX, Server, python  # type: ignore[import-not-found]

FLOOR = "bare loop"
_MODULES = "/usr/lib/nginx/modules"


def _httpng(*options: str, backend: str = "asyncio") -> tuple[str, ...]:
    app = "fanout_apps:httpng"
    command: tuple[str, ...] = python(
        *("-m", f"httpng_{backend}", app, "--listen", "127.0.0.1:PORT"),
        *("--max-conn-per-thread", "5000", *options),
    )
    return command


_BACKLOG = ("--backlog", "4096")
_NGINX_CONF = f"""
    load_module {_MODULES}/ndk_http_module.so;
    load_module {_MODULES}/ngx_http_lua_module.so;
    daemon off; master_process off; pid TMP/nginx.pid; env FANOUT_FOLLOWERS;
    events {{ worker_connections 5000; }}
    http {{
        access_log off; postpone_output 0;
        server {{
            listen 127.0.0.1:PORT backlog=4096;
            location / {{ content_by_lua_file {HERE}/fanout_nginx.lua; }}
        }}
    }}
"""


def tls_servers(folder: str) -> tuple[Server, ...]:
    """Those that are measured over TLS: the floor is a bare loop that seals each tick for each follower."""
    pair = (f"{folder}/server.pem", f"{folder}/server.key")
    options = ("--certfile", pair[0], "--keyfile", pair[1])
    ssl = ("--ssl-certfile", pair[0], "--ssl-keyfile", pair[1])
    return (
        Server(FLOOR, python(str(HERE / "fanout_apps.py"), "PORT", *pair)),
        Server("httpng uvloop", _httpng("--uvloop", *options)),
        Server("httpng asyncio", _httpng("--no-uvloop", *options)),
        Server("uvicorn uvloop httptools", uvicorn("fanout_apps:asgi", *_BACKLOG, *ssl), "uvicorn"),
    )


HTTP2_SERVERS: tuple[Server, ...] = (
    Server(FLOOR, python(str(HERE / "fanout_apps.py"), "PORT", "http2")),
    Server("httpng uvloop", _httpng("--uvloop")),
    Server("httpng asyncio", _httpng("--no-uvloop")),
    Server("granian uvloop", granian("fanout_apps:asgi", *_BACKLOG, "--http", "2"), "granian"),
)
"""Those that are measured over HTTP/2, in clear text: the floor frames each tick for a stream of each."""

SERVERS: tuple[Server, ...] = (
    Server(FLOOR, python(str(HERE / "fanout_apps.py"), "PORT")),
    Server("httpng uvloop", _httpng("--uvloop")),
    Server("httpng asyncio", _httpng("--no-uvloop")),
    Server("httpng trio", _httpng(backend="trio")),
    Server("uvicorn uvloop httptools", uvicorn("fanout_apps:asgi", *_BACKLOG), "uvicorn"),
    Server("granian uvloop", granian("fanout_apps:asgi", *_BACKLOG), "granian"),
    Server("nginx with Lua", NGINX, f"{_MODULES}/ngx_http_lua_module.so", _NGINX_CONF),
    Server("Go net/http", ("TMP/fanout", "PORT"), "go"),
    Server("Node http", ("node", str(HERE / "fanout_node.js"), "PORT"), "node"),
)
