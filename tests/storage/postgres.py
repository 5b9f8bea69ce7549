"""A PostgreSQL of a test's own: a cluster in a temporary folder, on a Unix socket alone.

The server refuses to run as root, so as root it is started as the user ``postgres``.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

WAIT_S = 30.0


def programs() -> Path:
    """The folder of the newest server that is installed; without one the test is skipped."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major)
    if found is None and not folders:
        pytest.skip("NOT TESTED: no PostgreSQL server here (Debian: apt install postgresql)")
    return Path(found).parent if found else folders[-1].parent


@contextmanager
def postgres() -> Iterator[tuple[str, Path]]:
    """Run a server; yield the URL of its superuser and the folder of its log.

    Its texts are in German order, in which ``a`` < ``B`` < ``c``: comparing by code point has to be
    asked for.
    """
    bin_folder = programs()
    with tempfile.TemporaryDirectory(prefix="upcare-pg-") as name:  # short: a socket's path is
        folder = Path(name)
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        order = ("--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=de")
        _run([bin_folder / "initdb", "-D", folder / "data", "-U", "admin", "-N", *order], user)
        log = (folder / "log").open("wb")
        options = {
            "listen_addresses": "",
            "unix_socket_directories": name,
            "fsync": "off",
            "log_statement": "all",
        }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with log:
            server = subprocess.Popen(
                [bin_folder / "postgres", "-D", folder / "data", *words],
                user=user,
                stdout=log,
                stderr=log,
            )
        try:
            url = f"postgresql://admin@/postgres?host={name}"
            _wait(server, url, folder)
            yield url, folder
        finally:
            server.terminate()
            try:
                server.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _major(path: Path) -> int:
    return int(path.parts[-3])


def _run(words: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(words, user=user, capture_output=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()


def _wait(server: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail((folder / "log").read_text())
            time.sleep(0.05)
        else:
            return
