"""Attacks run on asyncio's loop; with `soak` on the others as well."""

import pytest
from tests.driver.harness import Serving, serving_on


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=pytest.mark.soak),
        pytest.param(("trio", {}), id="trio", marks=pytest.mark.soak),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def serving(anyio_backend_name: str) -> Serving:
    """`async with serving(app, **cfg) as server`, on the loop of the test."""
    return serving_on(anyio_backend_name)
