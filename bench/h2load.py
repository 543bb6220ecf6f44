"""Load by h2load (Debian: apt-get install nghttp2-client), over HTTP/2 and HTTP/1.1, with TLS or without."""

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8
PATHS = 20_000


@dataclass(frozen=True)
class Load:
    """How a server is asked."""

    streams: int = 1
    """At once on a connection; HTTP/1.1 has one."""
    is_http1: bool = False
    over_tls: bool = False
    paths: Path | None = None
    """A file of URIs, which each connection asks for in turn; else it is `/`."""

    def hello(self, port: int, seconds: float) -> int:
        """Return how many requests were answered, all of them well."""
        how = [f"-c{CONNECTIONS}", "-D", f"{seconds * 1000:.0f}ms"]
        told = self._run(port, *how, *([] if self.paths is None else ["-i", str(self.paths)]))
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", told)
        codes = re.search(r"status codes: (\d+) 2xx", told)
        if not found or not codes or int(found[1]) == 0 or int(found[2]) or int(codes[1]) < int(found[1]):
            raise RuntimeError(told)
        return int(found[1])

    def bulk(self, port: int, path: str, count: int) -> int:
        """Ask for a path so many times on one connection; return how many body bytes came."""
        told = self._run(port, "-c1", f"-n{count}", path=path)
        found = re.search(r"\((\d+)\) data", told)
        if not found or f"{count} succeeded, 0 failed, 0 errored" not in told:
            raise RuntimeError(told)
        return int(found[1])

    def wait_for_hello(self, port: int) -> None:
        """Return once the server answers."""
        for _ in range(200):
            if "1 succeeded" in self._run(port, "-n1", "-c1"):
                return
            time.sleep(0.05)
        raise RuntimeError(f"no answer on port {port}")

    def _run(self, port: int, *options: str, path: str = "/") -> str:
        if shutil.which("h2load") is None:
            raise SystemExit("this benchmark needs h2load (Debian: apt-get install nghttp2-client)")
        version = ["--h1"] if self.is_http1 else ["-p", "h2c"]
        scheme = "https" if self.over_tls else "http"
        streams = f"-m{1 if self.is_http1 else self.streams}"
        command = ["h2load", *version, streams, *options, f"{scheme}://127.0.0.1:{port}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout


def write_paths(file: Path, port: int, *, over_tls: bool) -> None:
    """Write URIs of which each has a path of its own."""
    where = f"{'https' if over_tls else 'http'}://127.0.0.1:{port}"
    lines = (f"{where}/item/{number:05d}?page={number % 7}\n" for number in range(PATHS))
    file.write_text("".join(lines))
