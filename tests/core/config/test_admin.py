"""`admin`: where operators may ask, and where not."""

import pytest

from httpng_core import ConfigError, ListenAddress, parse_settings


def admin(value: object) -> ListenAddress | None:
    return parse_settings({"admin": value}).admin


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("unix:/run/a.sock", ListenAddress("", 0, path="/run/a.sock", mode=0o600)),
        ({"addr": "unix:/run/a.sock", "mode": "660"}, ListenAddress("", 0, path="/run/a.sock", mode=0o660)),
        ("127.0.0.1:9000", ListenAddress("127.0.0.1", 9000)),
        ("127.1.2.3:9000", ListenAddress("127.1.2.3", 9000)),
        ("[::1]:9000", ListenAddress("::1", 9000)),
        ("localhost:9000", ListenAddress("127.0.0.1", 9000)),
    ],
)
def test_a_unix_socket_for_its_owner_or_this_machine_for_itself(
    value: object, expected: ListenAddress
) -> None:
    assert admin(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "9000", 9000, "0.0.0.0:9000", "[::]:9000", "10.0.0.1:9000", "example.org:9000", "fd:3", "unix:", "",
        ["127.0.0.1:1", "127.0.0.1:2"], True, "https://127.0.0.1:9000",
        {"addr": "127.0.0.1", "port": 9000, "proxy_protocol": True},
    ],
)  # fmt: skip
def test_nothing_that_a_stranger_could_come_to(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^admin .*must be unix:PATH or a loopback address"):
        admin(value)
