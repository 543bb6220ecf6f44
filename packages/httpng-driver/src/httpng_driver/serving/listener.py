"""Listening sockets: opened with errors that name the address, accepting as long as there is room."""

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

from httpng_core import Address, Certificates, ConfigError, ListenAddress, Settings
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.poller import READABLE
from httpng_driver.loop.tcp_options import keep_alive
from httpng_driver.serving import unix
from httpng_driver.serving.handed_over import INHERITED, Prepare, adopt

_log = logging.getLogger("httpng")

ACCEPTS_AT_ONCE = 8
"""So many clients are accepted in one turn: each costs about as much as a request, and others wait."""
_PAUSE = 0.25
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True)
class Bound:
    """A listening socket.

    Attributes:
        socket: it.
        address: where it listens, its real port included.
        file: of a Unix socket: what tells its file from a later one; `None` where the file isn't ours.
        key: what it was told to listen on, for who takes it over.
        prepare: sets the options of what is accepted, if the socket was open before it had them itself.
    """

    socket: socket.socket
    address: ListenAddress
    file: tuple[int, int] | None = None
    key: str = ""
    prepare: Prepare | None = None

    def close(self) -> None:
        """Stop listening, and remove the file of a Unix socket. Again: nothing."""
        if self.socket.fileno() < 0:
            return
        self.socket.close()
        if self.address.path is not None and self.file is not None:
            unix.remove(self.address.path, self.file)


def open_listeners(
    addresses: list[ListenAddress],
    notsent_lowat: int,
    tcp_keepalive: float = inf,
    backlog: int = Settings().backlog,
) -> list[Bound]:
    """Open a non-blocking listening socket for each address that the names resolve to.

    Blocks for as long as the resolver does: names are for start-up only. Of a name's addresses those that
    this machine doesn't have are left out with a warning (::1 of localhost where there is no IPv6), and so
    is :: beside 0.0.0.0.

    Raises:
        ConfigError: an address that can't be resolved, bound or listened on; nothing is left open.
    """
    opened: list[Bound] = []
    places = {(address.host, address.port) for address in addresses}
    prepare = partial(_set_options, notsent_lowat=notsent_lowat, tcp_keepalive=tcp_keepalive)
    try:
        for address in addresses:
            # A port alone means both, and so all that there are.
            is_half = address.host == "::" and ("0.0.0.0", address.port) in places
            opened.extend(_open_all(address, prepare, backlog, may_be_none=is_half))
    except BaseException:
        for one in opened:
            one.close()
        raise
    return opened


def _resolve(address: ListenAddress) -> list[tuple[int, Any]]:
    if address.path is not None:
        family = unix.family()
        if family is None:
            raise ConfigError(f"{address.url}: this platform has no Unix sockets")
        return [(family, address.path)]
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"unknown hostname: {address.host!r}") from error
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


class _NotOursError(ConfigError):
    """This machine doesn't have the address, or nothing of its family."""


def _open_all(
    address: ListenAddress, prepare: Prepare, backlog: int, *, may_be_none: bool
) -> Iterator[Bound]:
    if address.is_open:
        yield _adopted(address, prepare, backlog)
        return
    places, not_ours = _resolve(address), dict[str, _NotOursError]()
    for family, where in places:
        try:
            yield _open(address, family, where, prepare, backlog)
        except _NotOursError as error:
            not_ours[where[0]] = error
    for host, failure in not_ours.items():
        if len(not_ours) == len(places) and not may_be_none:
            raise failure
        _log.warning("%s: so %s is left out", failure, host)


def _adopted(address: ListenAddress, prepare: Prepare, backlog: int) -> Bound:
    sock, address = adopt(address)
    try:
        sock.listen(backlog)
        sock.setblocking(False)
        if address.path is not None:
            return Bound(sock, address)
        prepare(sock)
    except OSError as error:
        sock.close()
        raise ConfigError(f"listen error: {address.url}: {error.strerror}") from error
    return Bound(sock, address, prepare=prepare)


def _open(address: ListenAddress, family: int, where: Any, prepare: Prepare, backlog: int) -> Bound:
    step, bound, key = "bind error", None, f"{int(family)} {where}"
    try:
        if (sock := INHERITED.take(key)) is not None:
            return _inherited(Bound(sock, address, key=key), prepare, backlog)
        bound = Bound(socket.socket(family, socket.SOCK_STREAM), address, key=key)
        bound = _bind_unix(bound, where) if address.path is not None else _bind(bound, family, where, prepare)
        step = "listen error"
        bound.socket.listen(backlog)
        bound.socket.setblocking(False)
    except (OSError, OverflowError) as error:
        if bound is not None:
            bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        kind = _NotOursError if getattr(error, "errno", None) in _NOT_OURS else ConfigError
        raise kind(f"{step}: {address.url}: {reason}") from error
    return bound


def _inherited(bound: Bound, prepare: Prepare, backlog: int) -> Bound:
    """Go on with the socket of the process before; its file is ours now."""
    bound.socket.listen(backlog)
    bound.socket.setblocking(False)
    if bound.address.path is not None:
        return replace(bound, file=unix.identity(bound.address.path))
    prepare(bound.socket)
    host, port = bound.socket.getsockname()[:2]
    return replace(bound, address=replace(bound.address, host=host, port=port))


def _bind(bound: Bound, family: int, where: Any, prepare: Prepare) -> Bound:
    sock = bound.socket
    # Before anybody can connect: an accepted socket has what the listener had when its client came.
    prepare(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(where)
    host, port = sock.getsockname()[:2]
    return replace(bound, address=replace(bound.address, host=host, port=port))


def _bind_unix(bound: Bound, path: str) -> Bound:
    unix.remove_stale(path)
    bound.socket.bind(path)
    bound = replace(bound, file=unix.identity(path))
    if bound.address.mode is not None:
        # Nobody can connect before listen(), so nobody can be too early.
        os.chmod(path, bound.address.mode)
    return bound


def _set_options(sock: socket.socket, *, notsent_lowat: int, tcp_keepalive: float) -> None:
    # Accepted sockets inherit them: no system call for each connection.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if notsent_lowat:
        _set_notsent_lowat(sock, notsent_lowat)
    keep_alive(sock, tcp_keepalive)


def _set_notsent_lowat(sock: socket.socket, size: int) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    try:
        if option is None:
            raise OSError("the platform has no such option")
        sock.setsockopt(socket.IPPROTO_TCP, option, size)
    except OSError as error:
        _warn_once(
            f"TCP_NOTSENT_LOWAT can't be set ({error}): the kernel may hoard megabytes per slow client, "
            "so what `sent` tells is true and yet stale"
        )


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        _log.warning(text)


class Listener:
    """Accepts from one listening socket, in the loop of one hub. It owns the socket.

    Attributes:
        paused: whether it doesn't accept for now, for want of room.
        shortages: how often it couldn't accept for want of files or memory.
    """

    def __init__(
        self,
        hub: Hub,
        bound: Bound,
        take: Callable[[Accepted], None],
        has_room: Callable[[], bool],
        certificates: Certificates | None = None,
        make_room: Callable[[], bool] = lambda: False,
        at_once: int = ACCEPTS_AT_ONCE,
    ) -> None:
        """Accept while there is room.

        Args:
            hub: that of the loop.
            bound: what it accepts from.
            take: serves what was accepted.
            has_room: tells whether one more connection may be open.
            certificates: for TLS.
            make_room: tries to make some for a client that waits; returns whether it made any.
            at_once: how many clients it accepts in one go. Where others accept from the same socket, one, so
                that a burst is shared.
        """
        self._hub = hub
        self._take = take
        self._bound = bound
        self._socket = sock = bound.socket
        self._prepare = bound.prepare
        self._certificates = certificates
        self._has_room = has_room
        self._make_room = make_room
        self.paused = False
        self.shortages = 0
        self._warned = False
        self._at_once = at_once
        # Whether it will look again after a pause.
        self._looks_again = False
        hub.poller.register(sock.fileno(), READABLE, self._on_ready)

    @property
    def address(self) -> ListenAddress:
        """Where it listens."""
        return self._bound.address

    def resume(self) -> None:
        """Accept again, if it had stopped for want of room."""
        if self._has_room():
            self._go_on()

    def hand_over(self) -> None:
        """Leave the file of a Unix socket alone from now on: another process listens there."""
        self._bound = replace(self._bound, file=None)

    def close(self) -> None:
        """Stop listening. Again: nothing."""
        if self._socket.fileno() >= 0:
            self._hub.poller.unregister(self._socket.fileno())
            self._bound.close()

    def _on_ready(self, mask: int) -> None:
        if not self._has_room():
            # Where some was made, the poller tells again of whoever waits.
            if not self._make_room():
                self._wait_for_room()
            return
        for _ in range(self._at_once):
            # Whether somebody waits for whom room is to be made, the poller will tell.
            if not self._accept() or not self._has_room():
                return

    def _wait_for_room(self) -> None:
        self._pause()
        # In another thread a connection may have closed before it could see that this had stopped.
        self.resume()
        if self.paused:
            # Those that are busy now may be idle then.
            self._look_later()

    def _accept(self) -> bool:
        try:
            sock, peer = self._socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                return True  # That one client went away before we came to it.
            self._run_out(error)
            return False
        self._warned = False
        if self._prepare is not None:
            self._prepare(sock)
        sock.setblocking(False)
        ours, is_proxied = _address(sock, sock.getsockname()), self._bound.address.proxy_protocol
        self._take(Accepted(sock, _address(sock, peer), ours, self._certificates, is_proxied))
        return True

    def _run_out(self, error: OSError) -> None:
        self.shortages += 1
        if not self._warned:
            self._warned = True
            _log.warning("can't accept connections on %s for now: %s", self.address.url, error.strerror)
        self._pause()
        self._look_later()

    def _pause(self) -> None:
        self.paused = True
        self._hub.poller.modify(self._socket.fileno(), 0)

    def _go_on(self) -> None:
        if self.paused and self._socket.fileno() >= 0:
            self.paused = False
            self._hub.poller.modify(self._socket.fileno(), READABLE)

    def _look_later(self) -> None:
        if not self._looks_again:
            self._looks_again = True
            self._hub.timers.add(self._hub.clock() + _PAUSE, self._look_again)

    def _look_again(self, now: float) -> None:
        self._looks_again = False
        self._go_on()


def _address(sock: socket.socket, name: Any) -> Address:
    if sock.family == unix.family():
        return Address(os.fsdecode(name), 0, "AF_UNIX", protocol="unix")
    return Address(name[0], name[1], "AF_INET6" if sock.family == socket.AF_INET6 else "AF_INET")
