"""TLS without sockets: the only importer of ssl, and of cryptography for the names in certificates."""

from httpng_core.tls.certificates import Certificates
from httpng_core.tls.client_hello import offered_protocols
from httpng_core.tls.end import RECORD, TlsEnd, TlsError
from httpng_core.tls.handshake import TlsLayer
from httpng_core.tls.names import NameTable, names_of
from httpng_core.tls.outbound import SealedOutbound
from httpng_core.tls.records import RecordBook

__all__ = [
    "RECORD",
    "Certificates",
    "NameTable",
    "RecordBook",
    "SealedOutbound",
    "TlsEnd",
    "TlsError",
    "TlsLayer",
    "names_of",
    "offered_protocols",
]
