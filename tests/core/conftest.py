"""What tests over TLS share."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import make_pair
from tests.core.sealed import Sealed
from tests.core.transports import Carried, carried

from httpng_core import (
    CertificateFiles,
    Certificates,
    Settings,
    TlsFiles,
)

HTTP1_FOLDERS = {"http1", "sending", "connection"}
HTTP2_FOLDERS = {"http2", "sending", "connection", "uploads", "websocket"}
"""Their tests run on both engines of that protocol: on the reference engine in soak, these always."""
ALWAYS_ON_BOTH = {
    *("test_http1_pipelining", "test_http1_requests", "test_http1_responses"),
    *("test_http2_requests", "test_http2_responses", "test_http2_slow_bodies", "test_http2_connection"),
    *("test_http2_demands", "test_http2_kept", "test_http2_reconfigure", "test_http2_sharing"),
    *("test_http2", "test_watched"),
}
DRIVERS_OF_HTTP2 = {"Driven2", "Socket2", "TRANSPORTS"}
"""Names of modules whose tests speak HTTP/2."""

AGREED_DIFFERENCES = {
    r"test_a_connection_error_is_a_goaway_and_the_end\[reference-.*-9\]": "h2 says PROTOCOL_ERROR",
    r"test_continuation_without_end_is_an_error\[reference\]": "h2 says PROTOCOL_ERROR",
    r"test_content_length_must_be_that_of_the_body\[reference-False\]": "h2 takes it for a connection error",
}
"""What the reference engine of HTTP/2 does otherwise; of HTTP/1.1 that is told where requests are judged."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for pattern, reason in AGREED_DIFFERENCES.items():
            if re.fullmatch(pattern, item.name) and item.path.parent.name in HTTP2_FOLDERS:
                item.add_marker(pytest.mark.xfail(reason=reason))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    path = Path(metafunc.definition.path)
    marks = [] if path.stem in ALWAYS_ON_BOTH else [pytest.mark.soak]
    both = ["fast", pytest.param("reference", marks=marks)]
    if path.parent.name in HTTP1_FOLDERS and hasattr(metafunc.module, "Driven"):
        metafunc.parametrize("engine", both, indirect=True)
    if (
        path.parent.name in HTTP2_FOLDERS
        and {"Driven2", "Socket2", "TRANSPORTS"} & vars(metafunc.module).keys()
    ):
        metafunc.parametrize("http2_engine", both, indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`http1_engine` of every `Driven` that isn't told otherwise."""
    name: str = getattr(request, "param", "fast")
    monkeypatch.setattr("tests.core.driving.ENGINE", name)
    return name


@pytest.fixture(autouse=True)
def http2_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`http2_engine` of every `Driven2` that isn't told otherwise."""
    name: str = getattr(request, "param", "fast")
    monkeypatch.setattr("tests.core.driving2.Driven2.engine", name)
    return name


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_pair(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificates(pair: CertificateFiles) -> Certificates:
    return Certificates(TlsFiles((pair,)), Settings())


Make = Callable[..., Sealed]


@pytest.fixture
def make(certificates: Certificates, pair: CertificateFiles) -> Make:
    """`make(**settings)`: nothing has come yet."""
    return lambda **settings: Sealed(certificates, pair, **settings)


@pytest.fixture
def busy(make: Make) -> Callable[..., Sealed]:
    """`busy(**settings)`: the handler has the exchange."""
    return lambda **settings: make(**settings).shake().send()


Carry = Callable[..., Carried]


@pytest.fixture
def carry(certificates: Certificates, pair: CertificateFiles) -> Carry:
    """`carry(kind, method="GET", **settings)`: an exchange on a transport."""
    return lambda kind, method="GET", **settings: carried(kind, certificates, pair, method, **settings)
