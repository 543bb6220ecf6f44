"""The poller of macOS and BSD, run over the main tests on a selector that Linux has as well."""

import select
import selectors
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from tests.driver.harness import Client, Serving, in_thread
from tests.driver.net import ON_ALL_LOOPS, Net, Transport
from tests.driver.test_calls import (
    test_a_cancelled_task_sends_nothing_more_of_its_body,
    test_a_timeout_of_0_takes_what_the_socket_takes_now,
    test_concurrent_writers_keep_their_order,
    test_waits_for_positions,
)
from tests.driver.test_clients_that_leave import (
    test_a_client_that_leaves_while_others_are_served,
    test_a_client_that_leaves_while_the_handler_idles,
    test_a_fin_after_the_response_began,
    test_a_fin_before_the_response_began,
    test_a_fin_in_one_segment_with_the_request,
    test_a_reset_while_a_write_waits,
)
from tests.driver.test_records import check_runs
from tests.driver.test_refusals import (
    test_a_request_that_takes_too_long,
    test_nothing_leaks_from_one_connection_into_another,
)
from tests.driver.test_server import (
    test_cancelling_serve_resets_everything_and_waits_for_the_handlers,
    test_endless_handlers_are_cancelled_in_the_end,
    test_keep_alive_and_pipelining,
    test_more_requests_ahead_than_are_read,
    test_no_more_connections_than_allowed,
    test_running_out_of_files_pauses_with_one_warning,
    test_shutdown_lets_running_exchanges_finish,
)
from tests.driver.test_stalled_client import (
    test_a_body_of_declared_length_is_cut_short_where_the_write_ended,
    test_a_chunked_body_ends_where_the_write_did,
)
from tests.driver.test_truth import check_sent, mixed

from httpng_driver import Server


@pytest.fixture(params=ON_ALL_LOOPS, ids=str)
def transport(request: pytest.FixtureRequest) -> Transport:
    """Two of them: what a poller is asked for doesn't depend on it."""
    return cast(Transport, request.param)


@pytest.fixture
def made() -> list[selectors.BaseSelector]:
    """The selectors of all pollers that were made in the test."""
    return []


@pytest.fixture
def serving(serving: Serving, made: list[selectors.BaseSelector]) -> Serving:
    """Starts servers as where there is kqueue and no epoll; the loop that they run in has epoll already."""

    def kqueue() -> selectors.BaseSelector:
        made.append(selectors.EpollSelector())
        return made[-1]

    @asynccontextmanager
    async def elsewhere(app: object, **options: Any) -> AsyncIterator[Server]:
        served, before = serving(app, **options), len(made)
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(select, "epoll")
            patch.setattr(selectors, "KqueueSelector", kqueue, raising=False)
            server = await served.__aenter__()
        async with AsyncExitStack() as stack:
            stack.push_async_exit(served)
            assert len(made) > before
            yield server

    return elsewhere


@pytest.mark.anyio
async def test_records_are_never_torn(net: Net) -> None:
    await check_runs(net, range(5_000, 5_050))


@pytest.mark.anyio
async def test_sent_is_what_the_kernel_has_accepted(net: Net) -> None:
    await check_sent(net, None, mixed(4), 64 * 1024)


@pytest.mark.anyio
async def test_it_is_this_poller_that_serves(serving: Serving, made: list[selectors.BaseSelector]) -> None:
    async with serving(lambda req: "served") as server:
        (selector,) = made
        before = len(selector.get_map())
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask)).body == b"served"
            assert len(selector.get_map()) == before + 1


__all__ = [
    "test_a_body_of_declared_length_is_cut_short_where_the_write_ended",
    "test_a_cancelled_task_sends_nothing_more_of_its_body",
    "test_a_chunked_body_ends_where_the_write_did",
    "test_a_client_that_leaves_while_others_are_served",
    "test_a_client_that_leaves_while_the_handler_idles",
    "test_a_fin_after_the_response_began",
    "test_a_fin_before_the_response_began",
    "test_a_fin_in_one_segment_with_the_request",
    "test_a_request_that_takes_too_long",
    "test_a_reset_while_a_write_waits",
    "test_a_timeout_of_0_takes_what_the_socket_takes_now",
    "test_cancelling_serve_resets_everything_and_waits_for_the_handlers",
    "test_concurrent_writers_keep_their_order",
    "test_endless_handlers_are_cancelled_in_the_end",
    "test_keep_alive_and_pipelining",
    "test_more_requests_ahead_than_are_read",
    "test_no_more_connections_than_allowed",
    "test_nothing_leaks_from_one_connection_into_another",
    "test_running_out_of_files_pauses_with_one_warning",
    "test_shutdown_lets_running_exchanges_finish",
    "test_waits_for_positions",
]
