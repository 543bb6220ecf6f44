"""What tests over TLS share."""

from collections.abc import Callable

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
