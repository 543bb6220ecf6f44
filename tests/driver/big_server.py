"""A server in a process of its own, on each loop, started as a user would: for many clients at once."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from httpng_core import ListenAddress

HERE: Final = Path(__file__).parent
LOOPS: Final = {
    "uvloop": ("httpng_asyncio", "--uvloop"),
    "asyncio": ("httpng_asyncio", "--no-uvloop"),
    "trio": ("httpng_trio",),
}
MIB: Final = 1 << 20
_PAGE: Final = 4096


@contextmanager
def server_of(loop: str, app: str, *options: str) -> Iterator[tuple[int, ListenAddress]]:
    """Serve `app`, a file of this folder; its process, and where it listens."""
    module, *of_loop = LOOPS[loop]
    command = [sys.executable, "-m", module, f"{HERE / app}:app", "--listen", "127.0.0.1:0"]
    with subprocess.Popen([*command, *options, *of_loop], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        listening = re.search(r":(\d+)\n", server.stderr.readline())
        assert listening is not None
        drained = threading.Thread(target=server.stderr.read)
        drained.start()
        try:
            yield server.pid, ListenAddress("127.0.0.1", int(listening[1]))
        finally:
            server.kill()
            drained.join()


def resident(pid: int) -> int:
    """Return how many bytes of memory a process takes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
