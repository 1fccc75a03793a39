"""A real PostgreSQL server on loopback and a socket, in a folder of its own, run by an unprivileged account."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ssh_fixtures import TEST_USER

SUPERUSER = "keeper"
PASSWORD = "s3cret/w@rd"  # noqa: S105  # of a server that lives as long as the tests


@dataclass
class PostgresServer:
    """A running server; by its socket anybody is trusted, by its port a password is asked for.

    Attributes:
        folder: its data, socket and log.
        port: on loopback.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, user: str = SUPERUSER) -> str:
        """The URL of a database by the server's socket."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def url_by_port(self, database: str, password: str) -> str:
        """The URL of a database by the server's port."""
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/{database}"

    def make_schema(self) -> str:
        """Make an empty schema, far smaller than a database; returns the URL that has it for its tables."""
        name = f"store_{uuid.uuid4().hex[:12]}"
        self.ask(f"CREATE SCHEMA {name}", "postgres")
        return f"{self.url('postgres')}&options=-csearch_path%3D{name}"

    def make_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"store_{uuid.uuid4().hex[:12]}"
        self.ask(f"CREATE DATABASE {name}", "postgres")
        return name

    def ask(self, statement: str, database: str) -> list[tuple[object, ...]]:
        """Execute a statement outside of transactions; returns its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            answer = connection.execute(statement)
            return answer.fetchall() if answer.description else []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [
            *_as_unprivileged(),
            _program("postgres"),
            *("-D", str(self.folder / "data"), "-k", str(self.folder), "-p", str(self.port)),
            # Tests end processes, never the power.
            *("-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB"),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        import psycopg

        for _ in range(300):
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop the server, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


def _program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"]])) or ""


def _as_unprivileged() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid", TEST_USER, "--regid", TEST_USER, "--init-groups"]


def require_postgresql() -> None:
    if not _program("initdb"):
        pytest.skip("there is no PostgreSQL server (Debian: postgresql)")
    if os.getuid() == 0:
        try:
            pwd.getpwnam(TEST_USER)
        except KeyError:
            pytest.skip(f"root needs an account {TEST_USER} to run PostgreSQL: useradd --create-home {TEST_USER}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    require_postgresql()
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-pg-") as name:  # short, for the path of a socket is
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            user = pwd.getpwnam(TEST_USER)
            for path in (folder, folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        subprocess.run(
            [
                *_as_unprivileged(),
                _program("initdb"),
                *("-D", str(folder / "data"), "-U", SUPERUSER, "--pwfile", str(folder / "password")),
                *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale", "C"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = PostgresServer(folder, port)
        server.start()
        yield server
        server.stop()
