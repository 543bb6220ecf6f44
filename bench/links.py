"""Slow links: pairs of virtual interfaces between two network namespaces, each with its own token bucket.

Linux only, as root, with iproute2. Nothing outside of the two namespaces is touched.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ETHERNET, IP, TCP = 14, 20, 32
"""Bytes of headers; TCP's with time stamps. The bucket counts them all."""
MTU = 1500
BURST = MTU + ETHERNET + 26
"""The bucket: one full packet, the least that lets it pass; so an idle link hardly saves up anything."""
LIMIT = 4740
"""Bytes that the link itself may queue: three full packets, more than TCP small queues hand to it at once."""


@dataclass(frozen=True)
class Links:
    """Two namespaces and the links between them."""

    server: str
    client: str
    count: int

    def address(self, index: int) -> str:
        """The server's address on a link."""
        return f"10.77.{index}.1"

    def on_server(self) -> list[str]:
        """What to put before a command to run it at the server's end."""
        return ["ip", "netns", "exec", self.server]

    def on_client(self) -> list[str]:
        """What to put before a command to run it at the client's end."""
        return ["ip", "netns", "exec", self.client]

    def listening(self) -> set[int]:
        """The ports on which something listens at the server's end."""
        told = _run("ss", "-N", self.server, "-ltnH").splitlines()
        return {int(line.split()[3].rpartition(":")[2]) for line in told}

    def send_queues(self) -> dict[int, int]:
        """For each port of the server's end, the bytes that its kernel holds for clients (SIOCOUTQ)."""
        told = _run("ss", "-N", self.server, "-tnH", "state", "established").splitlines()
        fields = [line.split() for line in told]
        return {int(each[2].rpartition(":")[2]): int(each[1]) for each in fields}

    def dropped(self) -> list[int]:
        """How many packets each link has dropped, for want of room in its queue."""
        told = json.loads(_run("tc", "-n", self.server, "-s", "-j", "qdisc", "show"))
        drops = {each["dev"]: each["drops"] for each in told if each["kind"] == "tbf"}
        return [int(drops[f"link{index}"]) for index in range(self.count)]


@contextmanager
def slow_links(count: int, bits_per_second: int) -> Iterator[Links]:
    """Makes the namespaces and so many links that are slow from server to client; removes all in the end."""
    links = Links(f"httpng-{os.getpid()}-server", f"httpng-{os.getpid()}-client", count)
    try:
        for namespace in (links.server, links.client):
            _run("ip", "netns", "add", namespace)
            _run(
                "ip", "netns", "exec", namespace,
                "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6",
            )  # fmt: skip
        for index in range(count):
            _make(links, index, bits_per_second)
        yield links
    finally:
        for namespace in (links.server, links.client):
            subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL, check=False)


def _make(links: Links, index: int, bits_per_second: int) -> None:
    name, ends = f"link{index}", (links.server, links.client)
    _run("ip", "-n", links.server, "link", "add", name, "type", "veth", "peer", name, "netns", links.client)
    for side, namespace in enumerate(ends, 1):
        _run("ip", "-n", namespace, "link", "set", name, "address", f"02:00:00:00:{index:02x}:{side:02x}")
        _run("ip", "-n", namespace, "address", "add", f"10.77.{index}.{side}/30", "dev", name)
        _run("ip", "-n", namespace, "link", "set", name, "mtu", str(MTU), "up")
    for side, namespace in enumerate(
        ends, 1
    ):  # So that no look-up of an address takes its place on the link.
        _run(
            "ip", "-n", namespace, "neighbour", "replace", f"10.77.{index}.{3 - side}", "dev", name,
            "lladdr", f"02:00:00:00:{index:02x}:{3 - side:02x}", "nud", "permanent",
        )  # fmt: skip
    _run(
        "tc", "-n", links.server, "qdisc", "add", "dev", name, "root",
        "tbf", "rate", f"{bits_per_second}bit", "burst", str(BURST), "limit", str(LIMIT),
    )  # fmt: skip


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
