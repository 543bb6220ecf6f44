"""Which certificate is for a name: by its subject alternative names (RFC 6125, 6.4), else by its CN."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from httpng_core.errors import ConfigError

T = TypeVar("T")

_NO_CRYPTOGRAPHY = "uses_sni needs the package cryptography: pip install 'httpng-core[tls]'"


def names_of(certificate: bytes) -> tuple[list[str], list[str]]:
    """Return the DNS names of the first certificate in PEM text: alternative names, common names.

    Raises:
        ConfigError: cryptography isn't installed, or can't read it.
    """
    try:
        from cryptography import x509
    except ImportError:
        raise ConfigError(_NO_CRYPTOGRAPHY) from None
    try:
        read = x509.load_pem_x509_certificate(certificate)
        subject = read.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        common = [str(one.value) for one in subject]
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [], common
    except ValueError as error:
        raise ConfigError(f"can't read the names in it: {error}") from None
    return found.value.get_values_for_type(x509.DNSName), common


class NameTable(Generic[T]):
    """Finds what goes with a name: exact names win over wildcards, alternative names over common names."""

    def __init__(self) -> None:
        self._tables: tuple[dict[str, T], dict[str, T]] = ({}, {})

    def add(self, names: Sequence[str], common: Sequence[str], found: T) -> None:
        """Add the names of one certificate; of two with one name the first is taken."""
        for table, added in zip(self._tables, (names, common), strict=True):
            for name in added:
                table.setdefault(_normal(name), found)

    def find(self, name: str | None) -> T | None:
        """Return what goes with `name`, `None` without a name or if there is nothing."""
        if not name:
            return None
        exact = _normal(name)
        # A wildcard stands for one label, the first.
        wildcard = "*." + exact.partition(".")[2]
        for table in self._tables:
            for key in (exact, wildcard):
                if key in table:
                    return table[key]
        return None


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")
