"""An accepted socket, on its way from a listener to the loop that serves it."""

from itertools import count
from socket import socket
from typing import Final, NamedTuple

from httpng_core import Address, Certificates

NUMBERS: Final = count(1)
"""The numbers of connections, none of which a process gives twice."""


class Accepted(NamedTuple):
    """An accepted, non-blocking socket, and how it is to be served.

    Attributes:
        socket: it belongs to whoever this is given to.
        peer: the client's end.
        ouraddr: the end of the server.
        certificates: for TLS; `None` for plain text.
        is_proxied: whether a proxy says first who the client is, by the PROXY protocol.
    """

    socket: socket
    peer: Address
    ouraddr: Address
    certificates: Certificates | None = None
    is_proxied: bool = False
