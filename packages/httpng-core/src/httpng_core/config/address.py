"""Where a server listens, and with which certificates: what every form of `listen` becomes."""

from dataclasses import dataclass, field
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate, with those that vouch for it, and its private key: files in PEM format.

    Attributes:
        certificate_file: the certificate, then those that vouch for it.
        certificate_key_file: its private key.
        certificate_key_password: what the key is encrypted with, `None` if it isn't.
    """

    certificate_file: str
    certificate_key_file: str
    certificate_key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a TLS listener proves its names with.

    Attributes:
        pairs: at least one.
        uses_sni: whether the name that the client asks for chooses among them; without one of that name the
            handshake fails.
    """

    pairs: tuple[CertificateFiles, ...]
    uses_sni: bool = False


class SocketLike(Protocol):
    """A socket that somebody has opened, whatever its class."""

    def fileno(self) -> int:
        """Return its descriptor; negative once it is closed."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen.

    Attributes:
        host: An IPv4 or IPv6 address without brackets, or a name to be resolved; empty for a Unix socket, and
            for a socket that is handed over, until it is looked at.
        port: 0 .. 65535; 0 lets the system pick one.
        tls: The certificates of a TLS listener; None for plain text.
        path: The file of a Unix socket; None for TCP.
        mode: Its permissions, None for what the umask leaves.
        fd: The descriptor of a socket that is open already, which is ours from then on; None for others.
        proxy_protocol: Whether a proxy connects there that says who its client is, by the PROXY protocol,
            before anything else.
        socket: A socket that the caller has opened and will close; None for others.
    """

    host: str
    port: int
    tls: TlsFiles | None = None
    path: str | None = None
    mode: int | None = None
    fd: int | None = None
    socket: SocketLike | None = None
    proxy_protocol: bool = False

    @property
    def authority(self) -> str:
        """'127.0.0.1:8080', '[::1]:8080', 'unix:/run/httpng.sock' or 'fd:3'."""
        if self.path is not None:
            return f"unix:{self.path}"
        if self.is_open and not self.host:
            return f"fd:{self.descriptor}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether somebody else has opened it."""
        return self.fd is not None or self.socket is not None

    @property
    def descriptor(self) -> int:
        """The descriptor of a socket that is open already."""
        return self.socket.fileno() if self.socket is not None else -1 if self.fd is None else self.fd

    @property
    def url(self) -> str:
        """'http://127.0.0.1:8080' or 'https://[::1]:8080'; of a Unix socket or a descriptor its authority."""
        if self.path is not None or (self.is_open and not self.host):
            return self.authority
        return f"{'http' if self.tls is None else 'https'}://{self.authority}"


PORT: Final = 3300
"""The port where none is named."""
WILDCARDS: Final = ("0.0.0.0", "::")
"""All addresses of IPv4, and all of IPv6."""

LUA_DEFAULT_LISTEN: Final = tuple(ListenAddress(host, PORT) for host in WILDCARDS)
"""Where a Lua script is served that doesn't say: port 3300 of all addresses."""
PYTHON_DEFAULT_LISTEN: Final = (ListenAddress("127.0.0.1", PORT),)
"""Where anything else is served: port 3300 of this machine for itself."""
