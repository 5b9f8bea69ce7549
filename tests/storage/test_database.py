"""Opening a database: made once, durable, and one clear line when it cannot be used."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from upcare_mpc.errors import ConfigError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR, NODE


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_database_is_made_once_and_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "node.db"

    with Database(url(file), NODE):
        pass
    with Database(url(file), NODE) as again, again.read() as connection:
        version = connection.execute(text("SELECT owner, version FROM upcare_schema")).one()

    assert tuple(version) == ("node", NODE.version)


def test_commits_are_durable_and_the_file_is_private(tmp_path: Path) -> None:
    file = tmp_path / "node.db"

    with Database(url(file), NODE) as database, database.read() as connection:
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
        journal_mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()

    assert (synchronous, journal_mode) == (2, "wal")  # 2 is FULL
    assert file.stat().st_mode & 0o077 == 0


def test_an_error_inside_a_transaction_undoes_it(tmp_path: Path) -> None:
    with Database(url(tmp_path / "node.db"), NODE) as database:
        with suppress(ZeroDivisionError), database.write() as connection:
            connection.execute(text("UPDATE upcare_schema SET version = 7"))
            raise ZeroDivisionError

        with database.read() as connection:
            assert (
                connection.execute(text("SELECT version FROM upcare_schema")).scalar_one()
                == NODE.version
            )


@pytest.mark.parametrize(
    ("version", "age"), [(NODE.version + 1, "newer"), (NODE.version - 1, "older")]
)
def test_a_database_of_another_version_is_refused(tmp_path: Path, version: int, age: str) -> None:
    file = tmp_path / "node.db"
    Database(url(file), NODE).close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE upcare_schema SET version = ?", (version,))
    connection.close()

    with pytest.raises(ConfigError, match=f"has schema version {version}, {age} than version"):
        Database(url(file), NODE)


def test_a_node_does_not_open_the_coordinators_database(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.db"
    Database(url(file), COORDINATOR).close()

    with pytest.raises(ConfigError, match="wanted that of a node, got that of a coordinator"):
        Database(url(file), NODE)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    with pytest.raises(ConfigError, match="database of something else"):
        Database(url(file), NODE)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    file.write_bytes(b"not a database at all " * 100)

    with pytest.raises(ConfigError, match="damaged or is not a database") as caught:
        Database(url(file), NODE)

    assert str(tmp_path) not in str(caught.value)
    assert file.read_bytes().startswith(b"not a database at all")


def test_a_locked_database_is_reported_in_words(tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    database = Database(url(file), NODE, lock_timeout_s=0.1)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with (
        pytest.raises(ConfigError, match=r"locked by another program for 0\.1 s"),
        database.write(),
    ):
        pass

    holder.close()
    database.close()


def test_reading_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    with Database(url(tmp_path / "node.db"), NODE, lock_timeout_s=0.1) as database:
        with database.write() as writer, database.read() as reader:
            writer.execute(text("UPDATE upcare_schema SET version = 7"))
            seen = reader.execute(text("SELECT version FROM upcare_schema")).scalar_one()

        assert seen == NODE.version


@pytest.mark.parametrize(
    "wrong", ["postgresql://host/db", "sqlite://", "sqlite:///:memory:", "node.db"]
)
def test_another_kind_of_url_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="wanted sqlite:///FILE"):
        Database(wrong, NODE)


def test_a_folder_that_is_missing_is_refused_without_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory") as caught:
        Database(url(tmp_path / "missing" / "node.db"), NODE)

    assert str(tmp_path) not in str(caught.value)
