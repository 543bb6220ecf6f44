"""One end of TLS: `ssl.SSLObject` between two buffers in memory. It does no I/O and reads no clock."""

import ssl
from contextlib import suppress

from httpng_core.tls.certificates import certificate_of

RECORD = 16 * 1024
"""The most plaintext that one record carries (RFC 8446, 5.1)."""

_VERSIONS = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class TlsError(Exception):
    """What the other end sent is no TLS, or breaks it; `str` says how. An alert may have to be sent."""


class TlsEnd:
    """Sealed bytes in and out, plaintext in and out.

    Attributes:
        begun: whether anything has come from the other end.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "begun")

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.begun = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
            session=session,
        )

    @property
    def protocol(self) -> str | None:
        """What ALPN agreed on (RFC 7301), `None` if nothing."""
        return self._object.selected_alpn_protocol()

    @property
    def version(self) -> str | None:
        """The version of TLS, such as 'TLSv1.3'."""
        return self._object.version()

    @property
    def numbers(self) -> tuple[int, int]:
        """The numbers of the version and of the cipher suite (RFC 8446, 4.1.2 and B.4); 0: not known."""
        name = (self._object.cipher() or ("",))[0]
        suites = (one["id"] & 0xFFFF for one in self._object.context.get_ciphers() if one["name"] == name)
        return _VERSIONS.get(self._object.version() or "", 0), next(suites, 0)

    @property
    def certificate(self) -> str | None:
        """The certificate that this end, the server's, has proved its name with, in PEM."""
        return certificate_of(self._object.context)

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the client can resume."""
        return self._object.session

    @property
    def session_reused(self) -> bool | None:
        """Whether the handshake resumed an earlier session."""
        return self._object.session_reused

    def receive(self, data: bytes) -> None:
        """Take sealed bytes of the other end."""
        self.begun = True
        self._incoming.write(data)

    def shake(self) -> bool:
        """Go on with the handshake; return whether it is done.

        Raises:
            TlsError: it failed.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsError(_told(error)) from None
        return True

    def read(self) -> bytes | None:
        """Return plaintext that came in: empty after the other end's close_notify, `None` for nothing yet.

        Raises:
            TlsError: what came can't be opened; the connection is of no more use.
        """
        try:
            return self._object.read(4 * RECORD)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(_told(error)) from None

    def seal(self, plaintext: bytes | memoryview) -> None:
        """Make one record of at most `RECORD` bytes, for `take`.

        Raises:
            TlsError: the connection has failed before.
        """
        try:
            self._object.write(plaintext)
        except ssl.SSLError as error:
            raise TlsError(_told(error)) from None

    def sealed(self, plaintext: bytes | memoryview) -> bytes:
        """Return one record of at most `RECORD` bytes: what `seal` and `take` do, in one.

        Raises:
            TlsError: the connection has failed before.
        """
        try:
            self._object.write(plaintext)
        except ssl.SSLError as error:
            raise TlsError(_told(error)) from None
        return self._outgoing.read()

    def close(self) -> None:
        """Say that no more plaintext will come: a close_notify (RFC 8446, 6.1), for `take`."""
        # The other end's is still to come, or will never.
        with suppress(ssl.SSLError):
            self._object.unwrap()

    def take(self) -> bytes:
        """Return all sealed bytes that are to be sent."""
        return self._outgoing.read()


def _told(error: ssl.SSLError) -> str:
    """Return the reason in OpenSSL's words, as far as these say anything."""
    if error.reason == "CALLBACK_FAILED":
        return "no certificate for the name that the client asks for"
    return error.reason.replace("_", " ").lower() if error.reason else str(error.args[-1])
