"""Load by wrk (Debian: apt-get install wrk), for the benchmarks that count requests."""

import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

CONNECTIONS = 32


def load(port: int, seconds: float, script: Path | None = None) -> int:
    """How many requests were answered in whole seconds of load, all of them well; a script may make them."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("this benchmark needs wrk (Debian: apt-get install wrk)")
    url = f"http://127.0.0.1:{port}/"
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
    if script is not None:
        command[1:1] = ["-s", str(script)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    found = re.search(r"(\d+) requests in", told)
    assert found is not None, told
    return int(found[1])


def wait_for_hello(port: int) -> None:
    """Returns once the server answers."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                assert answer.read() == b"hello"
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer on port {port}")
