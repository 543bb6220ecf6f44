"""The module log: levels and text, as Python's logging has them."""

import logging

import pytest
from tests.lua.conftest import Serve


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(one.levelno, one.getMessage()) for one in caplog.records if one.name == "httpng.lua"]


def test_levels(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "httpng.lua")
    served = serve(
        """
        local log = require 'log'
        function handler()
          for _, level in ipairs{'error', 'warn', 'info', 'verbose', 'debug'} do log[level](level) end
        end"""
    )
    served.ask()
    assert logged(caplog) == [
        (logging.ERROR, "error"),
        (logging.WARNING, "warn"),
        (logging.INFO, "info"),
        (15, "verbose"),
        (logging.DEBUG, "debug"),
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("'100% as it is %s'", "100% as it is %s"),
        ("'%s is %d', 'x', 5", "x is 5"),
        ("'%s', nil", "nil"),
        ("5", "5"),
        ("nil", "nil"),
        ("{1, 'a'}", '[1,"a"]'),
        ("{a = print ~= nil}", '{"a":true}'),
        ("{a = 'x\\255'}", '{a="x\\xff"}'),
        ("setmetatable({print}, {__tostring = function() return 'mine' end})", "mine"),
        ("'\\228 \u20ac'", "\\xe4 \u20ac"),
    ],
)
def test_text(serve: Serve, caplog: pytest.LogCaptureFixture, call: str, text: str) -> None:
    caplog.set_level(logging.INFO, "httpng.lua")
    serve(f"require 'log'.info({call})")
    assert logged(caplog) == [(logging.INFO, text)]


def test_what_can_not_be_formatted_raises_as_format_does(serve: Serve) -> None:
    served = serve("see((select(2, pcall(require 'log'.error, '%d', 'x'))))")
    assert served.seen()[0].endswith("bad argument #2 to 'format' (number expected, got string)")


def test_what_is_not_logged_is_not_formatted(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpng.lua")
    served = serve(
        """
        local log = require 'log'
        log.debug('%s', setmetatable({}, {__tostring = function() see('formatted') return 'x' end}))
        see(pcall(log.debug, '%d', 'x'))
        see((pcall(log.info, '%d', 'x')))"""
    )
    assert served.seen() == ["true", "false"]
    assert logged(caplog) == []
