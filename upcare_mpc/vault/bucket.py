"""A store in a bucket or another file system that pyarrow knows by URL.

``s3://``, ``gs://``, ``abfs://`` and ``hdfs://`` are in pyarrow, which reads and writes snapshots
too, so nothing more is installed. Credentials come from the environment, as each service documents.

An object is written under another name and then moved: a cut leaves the old one or none. Whether
what was put survives a crash is the service's promise.
"""

from typing import Any

import pyarrow as pa
from pyarrow import fs

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.store import check_name, is_name

__all__ = ["Bucket"]


class Bucket:
    """A store below a URL."""

    def __init__(self, url: str) -> None:
        """Reach the place, and make the folder.

        Raises:
            ConfigError: It cannot be reached.
        """
        try:
            self._files, self._root = fs.FileSystem.from_uri(url)
            self._files.create_dir(self._root, recursive=True)
        except (OSError, pa.ArrowException):  # their texts may hold credentials
            raise ConfigError("the vault's URL cannot be opened") from None

    def put(self, name: str, content: bytes) -> None:
        """As ``Store`` says."""
        path = self._path(name)
        try:
            if name != HEAD and self._there(path):
                return
            with self._files.open_output_stream(f"{path}.new") as file:
                file.write(content)
            self._files.move(f"{path}.new", path)
        except (OSError, pa.ArrowException):
            raise DataError("the vault cannot be written") from None

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says."""
        path = self._path(name)
        try:
            if not self._there(path):
                return None
            with self._files.open_input_stream(path) as file:
                content: bytes = file.read(at_most + 1)
        except (OSError, pa.ArrowException):
            raise DataError("the vault cannot be read") from None
        return content if len(content) <= at_most else None

    def delete(self, name: str) -> None:
        """As ``Store`` says."""
        path = self._path(name)
        try:
            if self._there(path):
                self._files.delete_file(path)
        except (OSError, pa.ArrowException):
            raise DataError("the vault cannot be written") from None

    def names(self) -> list[str]:
        """As ``Store`` says."""
        try:
            found = self._files.get_file_info(fs.FileSelector(self._root))
        except (OSError, pa.ArrowException):
            raise DataError("the vault cannot be read") from None
        return [one.base_name for one in found if is_name(one.base_name)]

    def settle(self) -> None:
        """Nothing to wait for: a call returns when the service has said yes."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _there(self, path: str) -> bool:
        info: Any = self._files.get_file_info(path)
        return bool(info.type == fs.FileType.File)
