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
        if is_reference and _is_beyond_the_reference(item, params):
            item.add_marker(pytest.mark.skip(reason="the reference engines don't have that (ADR 204)"))
        if params.keys() >= {"anyio_backend", "transport"}:
            tried = [HTTP1] if len(params) > 2 else ON_ALL_LOOPS
            if params["anyio_backend"] != _ASYNCIO and params["transport"] not in tried:
                item.add_marker(pytest.mark.soak)


_ONLY_FAST = {
    "test_websocket": "http2",
    "test_websocket_messages": "http2",
    "test_asgi_websocket": "http2",
    "test_messages_are_confirmed_by_a_client_that_answers_and_by_no_other": "http2",
    "test_a_follower_skips_to_the_newest_when_its_client_has_confirmed": "http2",
    "test_an_asgi_application_says_it_to_its_io": "http2",
    "test_clients_in_step_decode_just_what_was_published": "http2",
    "test_uploads": "http",
    "test_a_body_is_pulled": "http",
    "test_a_body_that_is_too_long_is_answered": "http",
    "test_receive_tells_of_a_client_that_leaves_midway": "http",
    "test_uploads_that_are_streamed": "http",
    "test_memory_does_not_grow_with_an_upload": "http",
    "test_others_have_their_turn_while_tiny_chunks_are_read": "http",
}
"""What the reference engines lack, by file or test, and over which protocol: see ADR 204."""


def _is_beyond_the_reference(item: pytest.Item, params: dict[str, object]) -> bool:
    name = getattr(item, "originalname", item.name)
    protocol = _ONLY_FAST.get(item.path.stem) or _ONLY_FAST.get(name)
    return protocol is not None and str(params.get("transport", protocol)).startswith(protocol)


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
