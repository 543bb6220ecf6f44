"""Starts a server and a proxy with TLS in front of it, both in its own process group: for behind_proxy.py.

    python -m bench.proxied nginx|haproxy ADDR PORT FOLDER COMMAND ...

The proxy listens at ADDR:PORT with the certificate in FOLDER, in its default configuration apart from what
WebSockets need; BACK in the command stands for the port on 127.0.0.1 where the server is to listen.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parent.parent


def _nginx(folder: Path, host: str, port: int, back: int) -> tuple[str, ...]:
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; user root; pid {folder}/nginx.pid;
        events {{ }}
        http {{
            access_log off;
            server {{
                listen {host}:{port} ssl;
                ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
                location / {{
                    proxy_pass http://127.0.0.1:{back};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $http_connection;
                    proxy_read_timeout 1h;
                }}
            }}
        }}
    """)
    return "nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"


def _haproxy(folder: Path, host: str, port: int, back: int) -> tuple[str, ...]:
    pair = folder / "pair.pem"
    pair.write_bytes((folder / "server.pem").read_bytes() + (folder / "server.key").read_bytes())
    (folder / "haproxy.cfg").write_text(f"""
global
    log stderr local0 emerg
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
listen ticks
    bind {host}:{port} ssl crt {pair}
    server back 127.0.0.1:{back}
""")
    return "haproxy", "-db", "-f", f"{folder}/haproxy.cfg"


PROXIES = {"nginx": _nginx, "haproxy": _haproxy}


def main() -> NoReturn:
    """Starts both, and ends when one of them has."""
    proxy, host, port, folder, *command = sys.argv[1:]
    back = int(port) + 10_000
    # A network namespace begins without.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen([part.replace("BACK", str(back)) for part in command], cwd=ROOT)
    _wait_until_it_listens(back, server)
    front = subprocess.Popen(PROXIES[proxy](Path(folder), host, int(port), back))
    while server.poll() is None and front.poll() is None:
        time.sleep(0.5)
    raise SystemExit(f"ended: {proxy} with {front.poll()}, its server with {server.poll()}")


def _wait_until_it_listens(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the server has ended") from None
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server doesn't listen")


if __name__ == "__main__":
    main()
