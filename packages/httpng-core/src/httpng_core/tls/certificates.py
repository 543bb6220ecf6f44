"""What a TLS listener proves its name with: contexts made from files, and made anew when these change."""

import ssl
import warnings
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from httpng_core.config.address import CertificateFiles, TlsFiles
from httpng_core.config.settings import Settings
from httpng_core.errors import ConfigError
from httpng_core.tls.names import NameTable, names_of

ALPN: Final = ("h2", "http/1.1", "http/1.0")
"""What is spoken inside TLS (RFC 7301), the preferred first."""

_VERSIONS: Final = {
    "ssl3": (ssl.TLSVersion.SSLv3, ssl.HAS_SSLv3),
    "tls1": (ssl.TLSVersion.TLSv1, ssl.HAS_TLSv1),
    "tls1.1": (ssl.TLSVersion.TLSv1_1, ssl.HAS_TLSv1_1),
    "tls1.2": (ssl.TLSVersion.TLSv1_2, ssl.HAS_TLSv1_2),
    "tls1.3": (ssl.TLSVersion.TLSv1_3, ssl.HAS_TLSv1_3),
}
# Forward secrecy always; SHA-1 for what is older than TLS 1.2, which has nothing better.
_CIPHERS: Final = "ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AESGCM:!aNULL:!eNULL:!aDSS:!AESCCM"
_CERTIFICATE_TOO_WEAK: Final = {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}

_SHOWN: "Final[WeakKeyDictionary[ssl.SSLContext, str]]" = WeakKeyDictionary()
"""The certificate that a context proves its name with, which OpenSSL doesn't tell again."""


def certificate_of(context: ssl.SSLContext) -> str | None:
    """Return in PEM the certificate that a context made here shows to clients; `None` for another one."""
    return _SHOWN.get(context)


class Certificates:
    """The certificates of one listener, loaded.

    Attributes:
        context: what new connections are to be wrapped with; replace it with what `load` gives.
        alpn: the protocols to agree on, the preferred first.
    """

    def __init__(self, files: TlsFiles, settings: Settings, alpn: tuple[str, ...] = ALPN) -> None:
        """Read the files.

        Args:
            files: certificates with their keys.
            settings: `min_proto_version` and `openssl_security_level`.
            alpn: the protocols to agree on, the preferred first.

        Raises:
            ConfigError: a file can't be used, or this OpenSSL lacks what a setting asks for.
        """
        self._files = files
        self._settings = settings
        self.alpn = alpn
        self.context = self.load()

    def load(self) -> ssl.SSLContext:
        """Read the files again, and change nothing.

        Raises:
            ConfigError: see the constructor.
        """
        contexts = [self._context(pair) for pair in self._files.pairs]
        if not self._files.uses_sni:
            return contexts[0]
        table: NameTable[ssl.SSLContext] = NameTable()
        for pair, context in zip(self._files.pairs, contexts, strict=True):
            table.add(*_names(pair.certificate_file), context)
        first = self._context(self._files.pairs[0])
        first.sni_callback = _Chooser(table)
        return first

    def _context(self, pair: CertificateFiles) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _set_versions(context, self._settings.min_proto_version)
        modern = self._settings.min_proto_version in ("tls1.2", "tls1.3")
        level = f"@SECLEVEL={self._settings.openssl_security_level}"
        context.set_ciphers(f"{level}:{_CIPHERS}" + (":!SHA1" if modern else ""))
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(self.alpn)
        _SHOWN[context] = _bind(context, pair)
        return context


def _set_versions(context: ssl.SSLContext, name: str) -> None:
    version, is_there = _VERSIONS[name]
    if not is_there:
        raise ConfigError(f"min_proto_version is {name!r}: {ssl.OPENSSL_VERSION} was built without it")
    with warnings.catch_warnings():
        # The user has asked for an old version by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version


def _bind(context: ssl.SSLContext, pair: CertificateFiles) -> str:
    """Load a certificate with its key; return it, in PEM."""
    certificate, key = pair.certificate_file, pair.certificate_key_file
    shown = _first_certificate(certificate)
    try:
        # Without any password, OpenSSL would ask for it on the terminal.
        password = pair.certificate_key_password or ""
        context.load_cert_chain(certificate, key, password=lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"check private key with certificate failed: {certificate}, {key}") from None
        if error.reason in _CERTIFICATE_TOO_WEAK:
            weakness = f"{certificate}: {error.reason.replace('_', ' ').lower()} for openssl_security_level"
            raise ConfigError(f"can't bind certificate file to ssl_ctx: {weakness}") from None
        why = "no usable private key in it" if not password else "no private key that its password opens"
        raise ConfigError(f"can't bind private key to ssl_ctx: {key}: {why}") from None
    except OSError as error:
        raise ConfigError(f"can't bind private key to ssl_ctx: {key}: {error.strerror}") from None
    return shown


def _first_certificate(file: str) -> str:
    """Return the certificate in the file, its own before those of its chain, in PEM.

    That there is one is checked, as `load_cert_chain` doesn't say which file it dislikes.
    """
    text = _read(file).decode("ascii", "ignore")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"can't bind certificate file to ssl_ctx: {file}: no certificate in it") from None
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return begin + text.partition(begin)[2].partition(end)[0] + end + "\n"


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"can't bind certificate file to ssl_ctx: {file}: {reason}") from None


def _names(file: str) -> tuple[list[str], list[str]]:
    try:
        return names_of(_read(file))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


class _Chooser:
    """Called in each handshake with the name that the client asks for (RFC 6066, 3)."""

    def __init__(self, table: NameTable[ssl.SSLContext]) -> None:
        self._table = table

    def __call__(self, end: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        found = self._table.find(name)
        if found is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        end.context = found
        return None
