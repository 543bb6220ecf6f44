"""Every test over sockets runs on each loop that httpng serves on."""

import resource
from collections.abc import Iterator
from typing import cast

import pytest
from tests.certificates import make_pair
from tests.driver.harness import MANY_CLIENTS, Serving, serving_on
from tests.driver.net import HTTP1, ON_ALL_LOOPS, TRANSPORTS, Net, Transport

from httpng_core import CertificateFiles


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What loops and transports add little together is for `soak`.

    Each transport is tried on one loop; on the others the simplest one and the one that has all, or, of a
    test with parameters of its own, the simplest alone.
    """
    is_reference = config.getoption("--engine") == "reference"
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if is_reference and _is_beyond_the_reference(item):
            item.add_marker(pytest.mark.skip(reason="the reference engine of HTTP/1.1 gathers bodies"))
        if params.keys() >= {"anyio_backend", "transport"}:
            tried = [HTTP1] if len(params) > 2 else ON_ALL_LOOPS
            if params["anyio_backend"] != _ASYNCIO and params["transport"] not in tried:
                item.add_marker(pytest.mark.soak)


_ONLY_FAST = {
    "test_uploads",
    "test_a_body_is_pulled",
    "test_a_body_that_is_too_long_is_answered",
    "test_receive_tells_of_a_client_that_leaves_midway",
    "test_uploads_that_are_streamed",
    "test_memory_does_not_grow_with_an_upload",
    "test_others_have_their_turn_while_tiny_chunks_are_read",
}
"""What h11, the reference engine of HTTP/1.1, gathers in place of streaming it, by file or test."""


def _is_beyond_the_reference(item: pytest.Item) -> bool:
    names = {item.path.stem, getattr(item, "originalname", item.name)}
    return bool(names & _ONLY_FAST) and "http2" not in item.name


_ASYNCIO = ("asyncio", {"use_uvloop": False})


@pytest.fixture(
    params=[
        pytest.param(_ASYNCIO, id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def serving(anyio_backend_name: str, pytestconfig: pytest.Config) -> Serving:
    """`async with serving(app, **cfg) as server`, on the loop of the test, by the engines of `--engine`."""
    engine = pytestconfig.getoption("--engine")
    if engine == "fast":
        return serving_on(anyio_backend_name)
    return serving_on(anyio_backend_name, http1_engine=engine, http2_engine=engine)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A certificate for localhost."""
    return make_pair(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=TRANSPORTS, ids=str)
def transport(request: pytest.FixtureRequest) -> Transport:
    """HTTP/1.1 and HTTP/2, in clear text and over TLS."""
    return cast(Transport, request.param)


@pytest.fixture
def net(serving: Serving, transport: Transport, pair: CertificateFiles) -> Net:
    """`async with net.serving(app) as server, net.connect(server) as client`."""
    return Net(serving, transport, pair)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of the connections of many clients, all in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_CLIENTS * 2 + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"not more than {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
