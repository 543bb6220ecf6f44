"""A driver with a fault doesn't pass what core ships to test drivers: so each of these tests can fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOUND = (ROOT / "examples" / "embed_threads.py").read_text()
BOUND = 120.0

TAKES = "taken = self.sock.sendmsg(buffers) if buffers else 0"
BUFFERS = """taken = sum(map(len, buffers))
            self.backlog = getattr(self, "backlog", b"") + b"".join(buffers)
            self.backlog = self.backlog[self.sock.send(self.backlog) :]"""
FAULTS = {
    "buffers": (TAKES, BUFFERS, "sent_is_what"),
    "does not ask first": ("and not self.has_room()", "and False", "taken_back"),
    "lets the kernel hoard": ("if LOWAT is not None", "if not LOWAT", "kept_short"),
    "has no clock for connections": (
        "self.connection.handle_timeout(now)",
        "pass",
        "408 or stalls or times_out",
    ),
    "wakes up late": (
        "first - time.monotonic(), 0) * 1000",
        "first - time.monotonic(), 0) * 60000",
        "any_order",
    ),
    "resets nothing": ("if closing is Closing.RESET", "if False", "stalls_ends_with_a_reset"),
    "resets everything": ("if closing is Closing.RESET", "if True", "half_closes"),
    "does not linger": (
        "elif self.connection.half_close_expected() and not self.shut:",
        "elif self.connection.half_close_expected():\n            self.sock.close()\n        elif False:",
        "still_sends",
    ),
    "does not shut": (
        "self.connection.half_close_expected() and not self.shut",
        "False",
        "last_response or idle_gets_a_fin",
    ),
    "reads without bound": ("connection.wants_read", "connection.wants_read or True", "without_bound"),
    "takes a FIN for a loss": (
        "connection.receive_eof(now)",
        "connection.connection_lost(now)",
        "half_closes",
    ),
    "does not see a FIN": (
        "connection.receive_eof(now)\n        if happened & self.watched:",
        "time.sleep(0.01)\n        if False:",
        "cancels",
    ),
    "forgets its handlers": ("or self.runner.is_busy", "", "reset_cancels_a_write"),
    "does not wake followers": ('os.write(self.rope, b"!")', "pass", "follower"),
    "does not wait to be writable": (
        "select.POLLOUT if self.connection.wants_write else 0",
        "0",
        "long_response",
    ),
}
HARNESS = """
import sys
sys.path[:0] = [{here!r}, {root!r}]
from tests.interop import test_embedding_conformance as own
from pathlib import Path
own.EXAMPLES = Path({here!r})

class TestFaulty(own.Example):
    name = "faulty"
"""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_of_the_example(name: str) -> None:
    """Else what follows breaks with the example, and nobody sees it before the soak."""
    assert FAULTS[name][0] in SOUND


@pytest.mark.soak
@pytest.mark.parametrize(("here", "there", "tests"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_seen(tmp_path: Path, here: str, there: str, tests: str) -> None:
    (tmp_path / "faulty.py").write_text(SOUND.replace(here, there))
    (tmp_path / "test_faulty.py").write_text(HARNESS.format(here=str(tmp_path), root=str(ROOT)))
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--import-mode=importlib",
            "-k",
            tests,
            "test_faulty.py",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed" in ran.stdout
