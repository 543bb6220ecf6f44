"""Which errors of an ASGI application come of the end of its exchange, and which are its own."""

import pytest

from httpng_driver import ClientGoneError, SendTimeout
from httpng_driver.handlers.asgi import is_consequence, misplaced


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as one:
        return one


def test_what_comes_of_the_end_need_not_be_told_again() -> None:
    gone, late, own = ClientGoneError("gone"), SendTimeout("late"), ValueError("own")
    assert is_consequence(gone)
    assert is_consequence(raised(ValueError(), late))
    assert is_consequence(BaseExceptionGroup("several", [own, raised(KeyError(), gone)]))
    assert not is_consequence(own)
    assert not is_consequence(BaseExceptionGroup("several", [own, KeyError()]))
    assert not is_consequence(None)


def test_errors_that_are_each_others_causes_are_looked_at_once() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__context__ = second, first
    assert not is_consequence(first)


@pytest.mark.parametrize(
    ("is_whole", "has_begun", "told"),
    [
        (True, True, "x after the response's last message"),
        (False, False, "x before http.response.start"),
        (False, True, "a second x"),
    ],
)
def test_what_is_misplaced_says_where_it_belongs(is_whole: bool, has_begun: bool, told: str) -> None:
    assert str(misplaced("x", is_whole=is_whole, has_begun=has_begun)) == told
