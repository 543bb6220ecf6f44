"""What systemd tells a service, and is told: sockets that it has opened, and how the service stands."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

_FIRST: Final = 3


def take_listen_fds(environment: MutableMapping[str, str]) -> None:
    """Have the sockets that systemd has opened for this process be listened on, as `--fd` does."""
    is_ours = environment.get("LISTEN_PID") == str(os.getpid())
    count = environment.get("LISTEN_FDS", "")
    if not is_ours or not count.isdecimal():
        return
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)
    numbers = range(_FIRST, _FIRST + int(count))
    for number in numbers:
        # What runs below us has no business with them.
        with suppress(OSError):
            os.set_inheritable(number, False)
    if numbers:
        environment.setdefault("HTTPNG_FD", ",".join(map(str, numbers)))


def notify(*states: str) -> None:
    """Tell the service manager how the process stands, as READY=1; without one: nothing."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        # A name that begins with @ is abstract.
        manager.sendto("\n".join(states).encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)
