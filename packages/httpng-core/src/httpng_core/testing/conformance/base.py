"""What the tests of the suite share: the fixture `driver`, the forms of handlers, exemptions."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import pytest

from httpng_core.testing.conformance.driving import Driver, Form

AWAITED: list[str] = []
"""Tests of what the core promises and doesn't do yet, whatever drives it: they are expected to fail."""


class Suite:
    """What a driver says of itself; see `DriverConformance`."""

    forms: ClassVar[tuple[Form, ...]] = ("generator",)
    tells_acknowledged: ClassVar[bool] = False
    exempt: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        """Give `form` each form of a handler that the driver serves, and `protocol` each protocol."""
        assert metafunc.cls is not None
        if "form" in metafunc.fixturenames:
            metafunc.parametrize("form", metafunc.cls.forms)
        if "protocol" in metafunc.fixturenames:
            metafunc.parametrize("protocol", ["http1", "http2"])

    @pytest.fixture
    def driver(self, request: pytest.FixtureRequest, serve: Callable[..., int]) -> Iterator[Driver]:
        """Give the driver under test; its clients are closed in the end."""
        name = request.node.originalname
        if name in self.exempt:
            pytest.skip(self.exempt[name])
        if name in AWAITED:
            request.applymarker(pytest.mark.xfail(reason="the core doesn't do so yet", strict=True))
        driver = Driver(serve)
        yield driver
        driver.close()

    @pytest.fixture
    def drain(self) -> Callable[[], None]:
        """Have every server of the test drain; to be replaced by a driver that can."""
        pytest.skip("the driver offers no drain")
