"""How much is offered and how much one frame commits, a test a numbered sentence of `OfferSize`."""

from httpng_core.wire import HUGE, LARGE, SMALL, OfferSize


def test_an_offer_that_was_full_and_taken_whole_doubles_the_next_up_to_256_kib() -> None:
    size, limits = OfferSize(), []
    for _ in range(6):
        limits.append(size.limit)
        size.taken(size.limit, size.limit)
    assert limits == [SMALL, 2 * SMALL, LARGE, 2 * LARGE, HUGE, HUGE]
    assert HUGE == 256 * 1024


def test_one_that_was_cut_halves_it_and_asks_nothing_first() -> None:
    size = OfferSize()
    for _ in range(9):
        size.taken(size.limit, size.limit)
    limits = []
    for _ in range(4):
        assert not size.asks_first
        size.taken(size.limit, size.limit - 1)
        limits.append(size.limit)
    assert limits == [2 * LARGE, LARGE, 2 * SMALL, SMALL]
    size.taken(size.limit, size.limit - 1)
    assert (size.limit, size.asks_first) == (SMALL, True)


def test_a_frame_holds_no_more_than_an_offer_and_64_kib_at_most() -> None:
    size, frames = OfferSize(), []
    for _ in range(6):
        frames.append(size.frame)
        size.taken(size.limit, size.limit)
    assert frames == [SMALL, 2 * SMALL, LARGE, LARGE, LARGE, LARGE]


def test_small_offers_neither_grow_nor_shrink_anything() -> None:
    size = OfferSize()
    for _ in range(100):
        size.taken(100, 100)
    assert (size.limit, size.asks_first) == (SMALL, False)


def test_after_a_refusal_at_the_smallest_the_socket_is_asked_until_four_full_ones_were_taken() -> None:
    size, asked = OfferSize(), []
    size.taken(100, 50)
    for _ in range(4):
        asked.append(size.asks_first)
        size.taken(SMALL, SMALL)
    assert asked == [True] * 4
    assert not size.asks_first


def test_a_refusal_in_between_starts_the_count_anew() -> None:
    size = OfferSize()
    for taken in (0, SMALL, SMALL, SMALL, 0, SMALL, SMALL, SMALL):
        size.taken(SMALL, taken)
    assert size.asks_first
    size.taken(SMALL, SMALL)
    assert not size.asks_first


def test_what_is_sealed_grows_to_64_kib_after_four_full_ones_and_asks_first_always() -> None:
    size, limits = OfferSize(is_sealed=True), []
    for _ in range(8):
        limits.append(size.limit)
        assert (size.frame, size.asks_first, size.is_slow) == (size.limit, True, False)
        size.taken(size.limit, size.limit)
    assert limits == [SMALL, SMALL, SMALL, SMALL, 2 * SMALL, LARGE, LARGE, LARGE]
    size.taken(LARGE, 1)
    size.taken(2 * SMALL, 0)
    assert (size.limit, size.is_slow) == (SMALL, False)
    for _ in range(3):
        size.taken(SMALL, SMALL)
    assert size.limit == SMALL


def test_what_is_sealed_is_full_where_a_few_bytes_are_missing() -> None:
    size = OfferSize(is_sealed=True)
    for _ in range(4):
        size.taken(SMALL - 1000, SMALL - 1000)
    assert size.limit == 2 * SMALL


def test_who_refuses_the_smallest_of_what_is_sealed_is_slow_until_four_were_taken() -> None:
    size = OfferSize(is_sealed=True)
    size.taken(100, 50)
    for _ in range(4):
        assert size.is_slow
        size.taken(SMALL, SMALL)
    assert (size.is_slow, size.asks_first) == (False, True)
