"""What a broadcast sends by where nothing that was made can be taken back: when it makes something at all."""

from httpng_core.wire import TAKEN_AT_LEAST, AtOnce, Outbound


class Kernel:
    """One that takes what it is told to, and says what it is told to."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.took: list[bytes] = []
        self.asked = 0

    def send(self, data: bytes) -> int:
        if self.room < len(data):
            raise BlockingIOError
        self.took.append(data)
        return len(data)

    def can_take(self) -> bool:
        self.asked += 1
        return self.room > 0


def test_what_the_kernel_takes_is_counted() -> None:
    kernel, outbound = Kernel(), Outbound(0.0)
    by = AtOnce(outbound, kernel.send, kernel.can_take)
    assert by.send(b"tick") == 4
    assert by.send(b"more") == 4
    assert kernel.took == [b"tick", b"more"]
    assert (outbound.waiting, outbound.accepted_total, kernel.asked) == (0, 8, 1)


def test_nothing_is_sent_behind_what_waits() -> None:
    kernel, outbound = Kernel(), Outbound(0.0)
    by = AtOnce(outbound, kernel.send, kernel.can_take)
    by.send(b"tick")
    outbound.push(b"control")
    assert by.send(b"more") == 0
    assert kernel.took == [b"tick"]


def test_who_says_no_is_given_nothing() -> None:
    kernel, outbound = Kernel(), Outbound(0.0)
    kernel.room = 0
    by = AtOnce(outbound, kernel.send, kernel.can_take)
    assert by.send(b"tick") == 0
    assert (outbound.waiting, outbound.accepted_total) == (0, 0)


def test_what_is_refused_all_the_same_is_told_as_made_and_not_counted() -> None:
    kernel, outbound = Kernel(), Outbound(0.0)
    kernel.room = 3
    assert AtOnce(outbound, kernel.send, kernel.can_take).send(b"tick") == ~0
    assert (outbound.waiting, outbound.accepted_total) == (0, 0)


def test_the_kernel_is_asked_again_once_it_got_as_much_as_it_surely_takes() -> None:
    kernel, outbound = Kernel(), Outbound(0.0)
    by, half = AtOnce(outbound, kernel.send, kernel.can_take), b"x" * (TAKEN_AT_LEAST // 2)
    asked = []
    for _ in range(4):
        by.send(half)
        asked.append(kernel.asked)
    assert asked == [1, 1, 2, 2]
    by.send(b"x" * (TAKEN_AT_LEAST + 1))
    assert kernel.asked == 3
    by.send(half)
    outbound.push(half)
    outbound.accepted(len(half), 0.0)
    assert kernel.asked == 4
    by.send(b"tick")
    assert kernel.asked == 5
