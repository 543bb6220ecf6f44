"""Where a server listens, and with which certificates: what every form of `listen` becomes."""

from dataclasses import dataclass, field
from typing import Final


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


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen.

    Attributes:
        host: An IPv4 or IPv6 address without brackets, or a name to be resolved; empty for a Unix socket.
        port: 0 .. 65535; 0 lets the system pick one.
        tls: The certificates of a TLS listener; None for plain text.
        path: The file of a Unix socket; None for TCP.
        mode: Its permissions, None for what the umask leaves.
    """

    host: str
    port: int
    tls: TlsFiles | None = None
    path: str | None = None
    mode: int | None = None

    @property
    def authority(self) -> str:
        """'127.0.0.1:8080', '[::1]:8080' or 'unix:/run/httpng.sock'."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """'http://127.0.0.1:8080' or 'https://[::1]:8080'; of a Unix socket its authority."""
        if self.path is not None:
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
