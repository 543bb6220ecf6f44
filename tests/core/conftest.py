"""What tests over TLS share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import make_pair
from tests.core.carriers import Carried, carried
from tests.core.sealed import Sealed

from httpng_core import (
    CertificateFiles,
    Certificates,
    Settings,
    TlsFiles,
)

HTTP1_FOLDERS = {"http1", "sending", "connection"}
"""Their tests run on both engines for HTTP/1.1 requests: on the reference engine in soak, these always."""
ALWAYS_ON_BOTH = {"test_http1_pipelining", "test_http1_requests", "test_http1_responses"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    path = Path(metafunc.definition.path)
    if path.parent.name not in HTTP1_FOLDERS or not hasattr(metafunc.module, "Driven"):
        return
    marks = [] if path.stem in ALWAYS_ON_BOTH else [pytest.mark.soak]
    metafunc.parametrize("engine", ["fast", pytest.param("reference", marks=marks)], indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`http1_engine` of every `Driven` that isn't told otherwise."""
    name: str = getattr(request, "param", "fast")
    monkeypatch.setattr("tests.core.driving.ENGINE", name)
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
    """`carry(kind, method="GET", **settings)`: an exchange on a carrier."""
    return lambda kind, method="GET", **settings: carried(kind, certificates, pair, method, **settings)
