"""Which files can be used, what is said of those that can't, and whose certificate a client gets."""

import builtins
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.certificates import make_pair, trusting

from httpng_core import CertificateFiles, Certificates, ConfigError, Settings, TlsFiles
from httpng_core.testing import TlsEnd
from httpng_core.tls import NameTable, TlsError, names_of

DEFAULTS = Settings()


def load(*pairs: CertificateFiles, uses_sni: bool = False, settings: Settings = DEFAULTS) -> Certificates:
    return Certificates(TlsFiles(pairs, uses_sni), settings)


def shake(
    certificates: Certificates, client: ssl.SSLContext, name: str | None = "localhost"
) -> tuple[TlsEnd, TlsEnd]:
    """Both ends after the handshake."""
    server = TlsEnd(certificates.context, server_side=True)
    other = TlsEnd(client, server_side=False, server_hostname=name)
    done = False
    while not done:
        done = other.shake()
        server.receive(other.take())
        server.shake()
        other.receive(server.take())
    return server, other


def seen_by_client(certificates: Certificates, context: ssl.SSLContext, name: str) -> bytes | None:
    """The certificate that a client is shown, in DER."""
    server = TlsEnd(certificates.context, server_side=True)
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, sent, server_hostname=name)
    for _ in range(10):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
            return client.getpeercert(binary_form=True)
        server.receive(sent.read())
        server.shake()
        received.write(server.take())
    raise AssertionError("the handshake doesn't end")


def refusal(pair: CertificateFiles, settings: Settings = DEFAULTS) -> str:
    with pytest.raises(ConfigError) as raised:
        load(pair, settings=settings)
    return str(raised.value)


def shown_by(end: TlsEnd, pair: CertificateFiles) -> bool:
    """Whether an end of a server tells that it has shown the certificate of `pair`."""
    return end.certificate == Path(pair.certificate_file).read_text()


# Files ------------------------------------------------------------------------------------------------


def test_a_pair_of_files(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    server, client = shake(load(pair), trusting(pair))
    assert (server.version, client.protocol) == ("TLSv1.3", None)


def test_one_file_with_both(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(pair.certificate_key_file).read_bytes() + Path(pair.certificate_file).read_bytes())
    server, _ = shake(load(CertificateFiles(str(both), str(both))), trusting(pair))
    assert shown_by(server, pair), "without its key"


def test_what_was_shown_is_told(tmp_path: Path) -> None:
    one, other = make_pair(tmp_path, ["one"]), make_pair(tmp_path, ["other"], stem="other")
    both = load(one, other, uses_sni=True)
    for pair, name in ((one, "one"), (other, "other")):
        server, client = shake(both, trusting(pair), name)
        assert shown_by(server, pair)
        assert client.certificate is None
    # Files of a chain: the server's own certificate is the first.
    chain = tmp_path / "chain.pem"
    chain.write_text(Path(one.certificate_file).read_text() + Path(other.certificate_file).read_text())
    server, _ = shake(load(CertificateFiles(str(chain), one.certificate_key_file)), trusting(one), "one")
    assert shown_by(server, one)


def test_a_certificate_file_that_is_missing(tmp_path: Path) -> None:
    pair = CertificateFiles(str(tmp_path / "no.pem"), make_pair(tmp_path).certificate_key_file)
    told = f"can't bind certificate file to ssl_ctx: {tmp_path}/no.pem: No such file or directory"
    assert refusal(pair) == told


def test_a_name_of_a_file_that_can_be_none(tmp_path: Path) -> None:
    pair = CertificateFiles("a\0b", make_pair(tmp_path).certificate_key_file)
    assert refusal(pair) == "can't bind certificate file to ssl_ctx: a\0b: embedded null byte"


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    pair = CertificateFiles(make_pair(tmp_path).certificate_file, str(tmp_path / "no.key"))
    told = f"can't bind private key to ssl_ctx: {tmp_path}/no.key: No such file or directory"
    assert refusal(pair) == told


@pytest.mark.parametrize("text", [b"", b"junk", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END"])
def test_a_file_without_a_certificate(tmp_path: Path, text: bytes) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_bytes(text)
    pair = CertificateFiles(str(junk), make_pair(tmp_path).certificate_key_file)
    assert refusal(pair) == f"can't bind certificate file to ssl_ctx: {junk}: no certificate in it"


def test_a_file_without_a_key(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    twice = CertificateFiles(pair.certificate_file, pair.certificate_file)
    told = f"can't bind private key to ssl_ctx: {pair.certificate_file}: no usable private key in it"
    assert refusal(twice) == told


def test_a_key_with_a_password_asks_nobody(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    file = Path(pair.certificate_key_file)
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, pkcs8, encryption))
    assert refusal(pair) == f"can't bind private key to ssl_ctx: {file}: no usable private key in it"


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    one, other = make_pair(tmp_path), make_pair(tmp_path, stem="other")
    mixed = CertificateFiles(one.certificate_file, other.certificate_key_file)
    told = f"{one.certificate_file}, {other.certificate_key_file}"
    assert refusal(mixed) == f"check private key with certificate failed: {told}"


def test_a_certificate_too_weak_for_the_level(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, rsa_bits=1024)
    load(pair, settings=Settings(openssl_security_level=1))
    told = refusal(pair, Settings(openssl_security_level=2))
    assert told.startswith(
        f"can't bind certificate file to ssl_ctx: {pair.certificate_file}: ee key too small"
    )


# Versions ---------------------------------------------------------------------------------------------


def test_ssl3_is_not_in_this_openssl(tmp_path: Path) -> None:
    told = refusal(make_pair(tmp_path), Settings(min_proto_version="ssl3"))
    assert told == f"min_proto_version is 'ssl3': {ssl.OPENSSL_VERSION} was built without it"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    ("oldest", "spoken", "works"),
    [
        ("tls1.3", ssl.TLSVersion.TLSv1_3, True),
        ("tls1.3", ssl.TLSVersion.TLSv1_2, False),
        ("tls1.2", ssl.TLSVersion.TLSv1_2, True),
        ("tls1.2", ssl.TLSVersion.TLSv1_1, False),
        ("tls1.1", ssl.TLSVersion.TLSv1_1, True),
        ("tls1", ssl.TLSVersion.TLSv1_1, True),
    ],
)
def test_the_oldest_version(tmp_path: Path, oldest: str, spoken: ssl.TLSVersion, works: bool) -> None:
    pair = make_pair(tmp_path)
    client = trusting(pair)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = spoken
    certificates = load(pair, settings=Settings(min_proto_version=oldest, openssl_security_level=0))  # type: ignore[arg-type]
    if works:
        server, _ = shake(certificates, client)
        assert server.version == spoken.name.replace("_", ".")
    else:
        with pytest.raises(TlsError, match=r"unsupported protocol|no protocols available"):
            shake(certificates, client)


def test_what_contexts_never_do(tmp_path: Path) -> None:
    context = load(make_pair(tmp_path)).context
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION):
        assert context.options & option


def test_alpn(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    client = trusting(pair)
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shake(load(pair), client)[0].protocol == "h2"
    old = Certificates(TlsFiles((pair,)), DEFAULTS, alpn=("http/1.1",))
    assert shake(old, client)[0].protocol == "http/1.1"


# SNI --------------------------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path: Path) -> tuple[Certificates, ssl.SSLContext]:
    """Three certificates: of names, of a wildcard, and of a common name alone."""
    pairs = (
        make_pair(tmp_path, ["a.example", "Also-A.example"], common="not-this.example", stem="a"),
        make_pair(tmp_path, ["*.example"], common="wild", stem="wild"),
        make_pair(tmp_path, [], common="common.test", stem="common"),
    )
    client = trusting(*pairs)
    client.check_hostname = False
    return load(*pairs, uses_sni=True), client


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.example", "a"),
        ("A.EXAMPLE", "a"),
        ("also-a.example", "a"),
        ("b.example", "wild"),
        ("common.test", "common"),
    ],
)
def test_the_certificate_is_chosen_by_name(
    named: tuple[Certificates, ssl.SSLContext], tmp_path: Path, name: str, file: str
) -> None:
    certificates, client = named
    expected = ssl.PEM_cert_to_DER_cert((tmp_path / f"{file}.pem").read_text())
    assert seen_by_client(certificates, client, name) == expected


@pytest.mark.parametrize("name", ["x.y.example", "example", "other.test", "x.common.test", None])
def test_no_certificate_of_the_name(named: tuple[Certificates, ssl.SSLContext], name: str | None) -> None:
    certificates, client = named
    with pytest.raises(TlsError, match="no certificate for the name that the client asks for"):
        shake(certificates, client, name)


def test_the_alert_names_the_name(named: tuple[Certificates, ssl.SSLContext]) -> None:
    certificates, client = named
    server, end = (
        TlsEnd(certificates.context, server_side=True),
        TlsEnd(client, server_side=False, server_hostname="other.test"),
    )
    end.shake()
    server.receive(end.take())
    with pytest.raises(TlsError):
        server.shake()
    end.receive(server.take())
    with pytest.raises(TlsError, match="tlsv1 unrecognized name"):
        end.shake()


def test_one_certificate_without_sni_serves_every_name(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    client = trusting(pair)
    client.check_hostname = False
    for name in ("other.test", None):
        shake(load(pair), client, name)


def test_exact_names_win_and_the_first_of_two() -> None:
    table: NameTable[int] = NameTable()
    table.add(["*.test"], ["plain.test"], 1)
    table.add(["a.test", "A.test."], ["*.plain.test"], 2)
    table.add(["a.test"], ["plain.test"], 3)
    found = [
        table.find(name) for name in ("a.test", "A.Test.", "b.test", "plain.test", "x.plain.test", "", None)
    ]
    assert found == [2, 2, 1, 1, 2, None, None]


def test_names_that_can_not_be_read() -> None:
    with pytest.raises(ConfigError, match="can't read the names in it: "):
        names_of(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_without_cryptography_sni_is_refused_and_the_rest_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(tmp_path)
    real: Callable[..., object] = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cryptography.x509")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as raised:
        load(pair, uses_sni=True)
    install = "uses_sni needs the package cryptography: pip install 'httpng-core[tls]'"
    assert str(raised.value) == f"{pair.certificate_file}: {install}"
    load(pair)


# Again ------------------------------------------------------------------------------------------------


def test_load_reads_the_files_again_and_changes_nothing(tmp_path: Path) -> None:
    old = make_pair(tmp_path)
    certificates, trusts_old = load(old), trusting(old)
    new = make_pair(tmp_path)
    fresh = certificates.load()
    shake(certificates, trusts_old)
    certificates.context = fresh
    shake(certificates, trusting(new))
    with pytest.raises(TlsError, match="certificate verify failed"):
        shake(certificates, trusts_old)
