"""What a server has opened before it serves: listening sockets, certificates, directories that are there."""

from collections.abc import Sequence
from dataclasses import replace

from httpng_core import (
    Certificates,
    Configuration,
    Lifecycle,
    ListenAddress,
    Pending,
    ServerVerb,
    TlsFiles,
    check_awaited,
)
from httpng_driver.handlers.open_below import check_directories
from httpng_driver.serving.listener import Bound, open_listeners


def check_configuration(configuration: Configuration) -> None:
    """Check what a server needs of a configuration, before anything is opened or replaced. Blocks.

    Raises:
        ConfigError: a handler takes `io` and isn't async, or a directory can't be served.
    """
    for site in configuration.sites:
        check_awaited(site.handler, configuration.settings.interface)
    check_directories(configuration.directories)


def check_listening(configuration: Configuration) -> dict[TlsFiles, Certificates]:
    """Check all that can be without opening a socket; return the certificates, loaded. Blocks.

    Raises:
        ConfigError: see `check_configuration`; or a certificate can't be used.
    """
    check_configuration(configuration)
    settings, listen = configuration.settings, configuration.listen
    return {address.tls: Certificates(address.tls, settings) for address in listen if address.tls is not None}


class Listening:
    """Open listening sockets, and the certificates for those that speak TLS. No event loop is needed yet.

    Attributes:
        bound: the sockets.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Open what `configuration` names. Blocks for as long as the resolver and the disk do.

        Raises:
            ConfigError: see `check_configuration`; or a certificate can't be used, or an address can't be
                listened on; nothing is left open.
        """
        settings, listen = configuration.settings, configuration.listen
        self._certificates = check_listening(configuration)
        self.bound: Sequence[Bound] = open_listeners(
            list(listen), settings.notsent_lowat, settings.tcp_keepalive, settings.backlog
        )

    @property
    def uses_tls(self) -> bool:
        """Whether there are certificates to reload."""
        return bool(self._certificates)

    def certificates(self, address: ListenAddress) -> Certificates | None:
        """Return what is shown to clients of `address`; `None` in plain text."""
        return None if address.tls is None else self._certificates[address.tls]

    def reload_certificates(self) -> None:
        """Read all certificates and keys again. Blocks while it reads.

        Raises:
            ConfigError: a file can't be used; then nothing has changed.
        """
        fresh = [(certificates, certificates.load()) for certificates in self._certificates.values()]
        for certificates, context in fresh:
            certificates.context = context

    def hand_over(self) -> None:
        """Leave the files of Unix sockets alone from now on: another process listens there."""
        self.bound = [replace(bound, file=None) for bound in self.bound]

    def close(self) -> None:
        """Stop listening. Again: nothing."""
        for bound in self.bound:
            bound.close()


class Preparation:
    """The `Control` of an application that no server runs yet: it opens what a server takes over later.

    So what can't be opened is an error of the `cfg` that named it. Without `opens` it only checks.

    Attributes:
        listening: what is open.
    """

    def __init__(self, lifecycle: Lifecycle, *, opens: bool = True) -> None:
        self._opens = opens
        self.listening: Listening | None = None
        self._lifecycle = lifecycle

    def start(self, configuration: Configuration) -> None:
        """See `Control`."""
        if self._opens:
            self.listening = Listening(configuration)
        else:
            check_listening(configuration)

    def reconfigure(self, configuration: Configuration) -> None:
        """See `Control`."""
        check_directories(configuration.directories)

    def reconfigured(self) -> None:
        """See `Control`: there are no connections yet."""

    def shutdown(self, *, resets: bool) -> Pending:
        """See `Control`."""
        self._lifecycle.do(ServerVerb.SHUTDOWN)
        self.close()
        self._lifecycle.do(ServerVerb.ENDED)
        return settled()

    def force_decrease_threads(self) -> Pending:
        """See `Control`: there are no threads yet."""
        self._lifecycle.do(ServerVerb.FORCE_DECREASE)
        return settled()

    def take(self) -> Listening | None:
        """Return what is open, which belongs to the caller from now on."""
        listening, self.listening = self.listening, None
        return listening

    def close(self) -> None:
        """Close what nobody took."""
        listening = self.take()
        if listening is not None:
            listening.close()


def settled() -> Pending:
    """Return a call that has nothing to wait for."""
    pending = Pending()
    pending.settle(None)
    return pending
