"""Certificates for tests: made when asked for, signed by themselves, so that a client can trust just one."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from httpng_core import CertificateFiles, TlsFiles


def make_pair(
    folder: Path,
    names: Sequence[str] = ("localhost",),
    *,
    common: str = "",
    stem: str = "server",
    rsa_bits: int | None = None,
) -> CertificateFiles:
    """A certificate for `names`, with its key, in files of `folder`."""
    key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    # Named differently, as OpenSSL looks for an issuer by name.
    kind, value = (x509.NameOID.COMMON_NAME, common) if common else (x509.NameOID.ORGANIZATION_NAME, stem)
    subject = x509.Name([x509.NameAttribute(kind, value)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    files = CertificateFiles(str(folder / f"{stem}.pem"), str(folder / f"{stem}.key"))
    Path(files.certificate_file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    Path(files.certificate_key_file).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def as_conf(files: TlsFiles, port: int = 0) -> dict[str, object]:
    """The table of `listen` for a loopback port."""
    pairs = [
        {"certificate_file": pair.certificate_file, "certificate_key_file": pair.certificate_key_file}
        for pair in files.pairs
    ]
    return {"addr": "127.0.0.1", "port": port, "tls": pairs, "uses_sni": files.uses_sni}


def trusting(*pairs: CertificateFiles) -> ssl.SSLContext:
    """A client's context that trusts these certificates and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for pair in pairs:
        context.load_verify_locations(pair.certificate_file)
    return context
