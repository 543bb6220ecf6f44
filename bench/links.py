"""Slow links: a chain of network namespaces, and for each link virtual interfaces with a token bucket.

The chain is server and client, with the slow link at the server's own interface; or server, router and
client, with the slow link at the router's, so that the server's kernel can't see its queue.

Linux only, as root, with iproute2. Nothing outside of the namespaces is touched.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

ETHERNET, IP, TCP = 14, 20, 32
"""Bytes of headers; TCP's with time stamps. The bucket counts them all."""
MTU = 1500
BURST = MTU + ETHERNET + 26
"""The bucket: one full packet, the least that lets it pass; so an idle link hardly saves up anything."""
LIMIT = 4740
"""Bytes that the link itself may queue, three full packets: little waits in it."""


@dataclass(frozen=True)
class Links:
    """The namespaces, from the server's to the client's, and how many links lead through them."""

    chain: tuple[str, ...]
    count: int

    def address(self, index: int) -> str:
        """The server's address on a link."""
        return f"10.77.{index}.1"

    def on_server(self) -> list[str]:
        """What to put before a command to run it at the server's end."""
        return ["ip", "netns", "exec", self.chain[0]]

    def on_client(self) -> list[str]:
        """What to put before a command to run it at the client's end."""
        return ["ip", "netns", "exec", self.chain[-1]]

    def listening(self) -> set[int]:
        """The ports on which something listens at the server's end."""
        told = _run("ss", "-N", self.chain[0], "-ltnH").splitlines()
        return {int(line.split()[3].rpartition(":")[2]) for line in told}

    def send_queues(self) -> dict[int, int]:
        """For each port of the server's end, the bytes that its kernel holds for clients (SIOCOUTQ)."""
        told = _run("ss", "-N", self.chain[0], "-tnH", "state", "established").splitlines()
        fields = [line.split() for line in told]
        return {int(each[2].rpartition(":")[2]): int(each[1]) for each in fields}

    def dropped(self) -> list[int]:
        """How many packets each link has dropped, for want of room in its queue."""
        told = json.loads(_run("tc", "-n", self.chain[-2], "-s", "-j", "qdisc", "show"))
        drops = {each["dev"]: each["drops"] for each in told if each["kind"] == "tbf"}
        return [int(drops[f"down{index}"]) for index in range(self.count)]


@contextmanager
def slow_links(
    count: int, bits_per_second: int, *, router: bool, offload: bool, limit: int
) -> Iterator[Links]:
    """Makes the namespaces and so many links, slow towards the client; removes all in the end.

    Args:
        count: how many links, at most 256.
        bits_per_second: the rate of each, towards the client; the way back is as fast as the machine.
        router: whether there is a router before the slow link.
        offload: whether the server's TCP may hand several packets to its interface as one (GSO).
        limit: bytes that the slow link may queue.
    """
    names = ("server", "router", "client") if router else ("server", "client")
    links = Links(tuple(f"httpng-{os.getpid()}-{name}" for name in names), count)
    try:
        for namespace in links.chain:
            _run("ip", "netns", "add", namespace)
            settings = "echo 1 >ipv6/conf/default/disable_ipv6; echo 1 >ipv4/ip_forward"
            _run("ip", "netns", "exec", namespace, "sh", "-c", f"cd /proc/sys/net; {settings}")
        for index in range(count):
            _make(links, index)
            if not offload:
                _run("ip", "-n", links.chain[0], "link", "set", f"down{index}", "gso_max_segs", "1")
            _run(
                "tc", "-n", links.chain[-2], "qdisc", "add", "dev", f"down{index}", "root",
                "tbf", "rate", f"{bits_per_second}bit", "burst", str(BURST), "limit", str(limit),
            )  # fmt: skip
        yield links
    finally:
        for namespace in links.chain:
            subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL, check=False)


def _make(links: Links, index: int) -> None:
    """Joins the namespaces: each has an interface down to the client and one up to the server."""
    network, last = f"10.77.{index}", len(links.chain) - 2
    for hop, (above, below) in enumerate(pairwise(links.chain)):
        _run(
            "ip", "-n", above, "link", "add", f"down{index}", "type", "veth",
            "peer", f"up{index}", "netns", below,
        )  # fmt: skip
        ends = ((above, f"down{index}"), (below, f"up{index}"))
        for side, (namespace, device) in enumerate(ends, 1):
            _run("ip", "-n", namespace, "link", "set", device, "address", _mac(hop, index, side))
            _run("ip", "-n", namespace, "address", "add", f"{network}.{4 * hop + side}/30", "dev", device)
            _run("ip", "-n", namespace, "link", "set", device, "mtu", str(MTU), "up")
        for side, (namespace, device) in enumerate(ends, 1):
            # No look-up of an address shall take its place on the link.
            _run(
                "ip", "-n", namespace, "neighbour", "replace", f"{network}.{4 * hop + 3 - side}",
                "dev", device, "lladdr", _mac(hop, index, 3 - side), "nud", "permanent",
            )  # fmt: skip
    if last > 0:
        _run("ip", "-n", links.chain[0], "route", "add", f"{network}.{4 * last}/30", "via", f"{network}.2")
        _run(
            "ip", "-n", links.chain[-1], "route", "add", f"{network}.0/30", "via", f"{network}.{4 * last + 1}"
        )


def _mac(hop: int, index: int, side: int) -> str:
    return f"02:00:00:{hop:02x}:{index:02x}:{side:02x}"


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
