"""A certificate for benchmarks over TLS: `server.pem` and `server.key`."""

import subprocess
from pathlib import Path


def write_certificate(folder: Path) -> None:
    """Write one for 127.0.0.1, which it signs itself."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -keyout server.key -out server.pem -subj /CN=127.0.0.1"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
