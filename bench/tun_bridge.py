"""Two network namespaces with a TUN device each, and between them a path with a rate and a delay.

The server's namespace has 10.77.0.1, the client's 10.77.0.2. A packet leaves its device, waits
for its turn at the rate (towards the client only), and enters the other device after the delay. No netem.
"""

import contextlib
import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import count

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_NEWNET = 0x40000000
_QUEUE = 8 << 20  # Bytes that may wait for their turn: the path drops nothing before.


@contextlib.contextmanager
def bridged(delay: float, rate: float) -> Iterator[tuple[str, str]]:
    """The names of the namespaces of server and client; both are gone afterwards."""
    names = tuple(f"httpng-{end}-{os.getpid()}" for end in ("server", "client"))
    stop, devices = threading.Event(), []
    try:
        for name, address, other in zip(names, (SERVER, CLIENT), (CLIENT, SERVER), strict=True):
            subprocess.run(["ip", "netns", "add", name], check=True)
            devices.append(_open_device(name))
            for command in (
                f"address add {address} peer {other} dev tun0",
                "link set tun0 mtu 1500 up",
                "link set lo up",
            ):
                subprocess.run(["ip", "-n", name, *command.split()], check=True)
            # As long as nothing is lost, it lets all go. BBR would empty the path for 0.2 s every 10 s.
            sysctl = ["sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno"]
            subprocess.run(["ip", "netns", "exec", name, *sysctl], check=True)
        thread = threading.Thread(target=_carry, args=(devices, delay, rate, stop), daemon=True)
        thread.start()
        yield names[0], names[1]
        stop.set()
        thread.join(5)
    finally:
        stop.set()
        for device in devices:
            os.close(device)
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def _open_device(namespace: str) -> int:
    """A TUN device in a namespace: made in a thread that goes there and ends."""
    opened: list[int] = []

    def within() -> None:
        with open(f"/run/netns/{namespace}", "rb") as place:
            _setns(place.fileno())
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI))
        opened.append(device)

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    return opened[0]


def _setns(namespace: int) -> None:
    # os.setns is younger than Python 3.11.
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _carry(devices: list[int], delay: float, rate: float, stop: threading.Event) -> None:
    under_way: list[tuple[float, int, int, bytes]] = []
    order, free = count(), time.monotonic()
    while not stop.is_set():
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, device, packet = heapq.heappop(under_way)
            with contextlib.suppress(OSError):
                os.write(device, packet)
        wait = min(under_way[0][0] - now, 0.1) if under_way else 0.1
        for ready in select.select(devices, [], [], max(wait, 0))[0]:
            with contextlib.suppress(BlockingIOError):
                packet, now = os.read(ready, 65536), time.monotonic()
                leaves = now
                if ready == devices[0]:
                    if (free - now) * rate > _QUEUE:
                        continue
                    leaves = free = max(free, now) + len(packet) / rate
                heapq.heappush(under_way, (leaves + delay, next(order), devices[ready == devices[0]], packet))
