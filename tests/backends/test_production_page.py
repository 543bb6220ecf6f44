"""What "Run in production" says is started, is: the container's file and the units of systemd."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.backends.test_command_line import Running, heed_signals
from tests.driver.harness import BOUND

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "run-in-production.md").read_text()
APP = "async def app(req, io):\n    return 'hello'\n"


def block(language: str, beginning: str) -> str:
    """The code of the page in that language that begins so."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (text,) = [one for one in found if one.startswith(beginning)]
    return str(text)


def instructions() -> list[tuple[str, str]]:
    """Those of the container's file, in order."""
    lines = block("dockerfile", "FROM").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def instruction(name: str) -> str:
    (found,) = [rest for one, rest in instructions() if one == name]
    return found


def package(name: str) -> dict[str, Any]:
    project = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text())["project"]
    return dict(project)


def environment(**more: str) -> dict[str, str]:
    """What the container's has, where the commands of these packages are found."""
    name, _, value = instruction("ENV").partition("=")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {name: value, "PATH": path} | more


def test_the_instructions_are_such_that_the_command_is_process_1() -> None:
    assert [name for name, _ in instructions()] == [
        *("FROM", "RUN", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "CMD")
    ]
    python = re.fullmatch(r"python:3\.(\d+)-slim", instruction("FROM"))
    oldest = re.fullmatch(r">=3\.(\d+)", package("httpng")["requires-python"])
    assert python is not None
    assert oldest is not None
    assert int(python[1]) >= int(oldest[1])
    # A list: with a string there would be a shell in between, which passes no signals on.
    command = json.loads(instruction("CMD"))
    assert command[0] in package("httpng")["scripts"]
    assert instruction("EXPOSE") == environment()["HTTPNG_LISTEN"].rpartition(":")[2]
    assert ("RUN", f"useradd --system {instruction('USER')}") in instructions()


def test_what_is_installed_has_a_name_that_there_is() -> None:
    (name,) = re.findall(r"`(\S+)` in `requirements.txt`", PAGE)
    assert name == package("httpng")["name"]


def test_the_configuration_is_right(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    command = [*json.loads(instruction("CMD")), "--print-config"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "0.0.0.0:8080" in ran.stdout


@pytest.mark.parametrize("is_first", [False, True])
def test_it_serves_and_ends_when_it_is_told(is_first: bool, tmp_path: Path) -> None:
    """Process 1 gets only those signals that it has asked for."""
    (tmp_path / "main.py").write_text(APP)
    command = json.loads(instruction("CMD"))
    if is_first:
        alone = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--pid", "--fork"]
        if not Path(alone[0]).exists() or subprocess.run([*alone, "true"], check=False).returncode:
            pytest.skip("no processes of one's own here")
        command = [*alone, "--kill-child", *command]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(HTTPNG_LISTEN="127.0.0.1:0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    with process:
        try:
            server = Running(process, 1)
            assert server.ask() == b"hello"
            if is_first:
                (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(child), signal.SIGTERM)
                server.ended()
            else:
                server.stop(signal.SIGTERM)
        finally:
            process.kill()


@pytest.mark.parametrize("key", ["ExecStartPre", "ExecStart"])
def test_the_unit_starts_what_there_is(key: str, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini", "# /etc/systemd/system/app.service"))
    program, *arguments = shlex.split(unit["Service"][key])
    assert Path(program).name in package("httpng")["scripts"]
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "httpng.toml").write_text('app = "main:app"\nlisten = "127.0.0.1:0"\n')
    command = [Path(program).name, *arguments, *([] if "--check-config" in arguments else ["--check-config"])]
    ran = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": environment()["PATH"]}, timeout=BOUND
    )
    assert ran.returncode == 0
