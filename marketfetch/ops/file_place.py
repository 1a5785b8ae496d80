"""Where exports and archived replies go: a folder or any URL of fsspec. A file appears whole, under its name, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final
from urllib.parse import urlsplit

from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError
from marketfetch.storage import safe_url

#: Readers of data sets skip names that begin so.
_UNFINISHED: Final = "_"
_TEMPORARY: Final = ".tmp"
#: Where what is written gets its name when all of it is there: no temporary name is needed.
_WHOLE_OR_NOTHING: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"})


class FilePlace:
    """The folder behind a path or a URL. Every method raises UnavailableError where it can't be read or written."""

    def __init__(self, url: str, *, then: str = "") -> None:
        """`then`: a sentence about what happens next, which ends that of an error."""
        import fsspec

        self._then = f" {then}" if then else ""

        self.shown = safe_url(url).rstrip("/") or "/"
        self._secrets = _secrets(url)
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UnavailableError(f"{self.shown} needs a library that is not installed: {error}") from None
        except ValueError as error:
            raise BadRequestError(f"{self.shown} is no place that fsspec knows ({self._cut(error)}).") from None
        except Exception as error:  # libraries of storage services have errors of their own
            raise self._failed(error) from None
        self._root = root.rstrip("/")

    def exists(self, name: str) -> bool:
        with self._failures():
            return bool(self._files.exists(self._path(name)))

    def is_new_folder(self) -> bool:
        """True for a folder of this machine that does not exist yet: the first file makes it. Buckets have no folders."""
        from fsspec.implementations.local import LocalFileSystem

        with self._failures():
            return isinstance(self._files, LocalFileSystem) and not self._files.exists(self._root or "/")

    def read(self, name: str) -> Any:
        """The JSON document of that name; None if there is none, or none that can be read."""
        with self._failures():
            if not self._files.exists(self._path(name)):
                return None
            try:
                return json.loads(self._files.cat_file(self._path(name)))
            except ValueError:
                return None

    def read_bytes(self, name: str) -> bytes:
        with self._failures():
            return bytes(self._files.cat_file(self._path(name)))

    def names(self, folder: str) -> list[str]:
        """The files below `folder`, in order of their names; none where it does not exist."""
        with self._failures():
            path = self._path(folder)
            found = self._files.find(path) if self._files.exists(path) else []
            whole = (one for one in found if not posixpath.basename(one).startswith(_UNFINISHED))
            return sorted(one.partition(path)[2].lstrip("/") for one in whole)

    def sizes(self, folder: str) -> dict[str, int]:
        """The files below `folder` as they are now, with their sizes in bytes; none where it does not exist."""
        with self._failures():
            path = self._path(folder)
            self._files.invalidate_cache()
            found = self._files.find(path, detail=True) if self._files.exists(path) else {}
            return {name.partition(path)[2].lstrip("/"): int(one.get("size") or 0) for name, one in found.items()}

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in `folder` as they are now, in order; none where it does not exist."""
        with self._failures():
            path = self._path(folder)
            self._files.invalidate_cache()
            found = self._files.ls(path, detail=True) if self._files.exists(path) else []
            return sorted(posixpath.basename(one["name"].rstrip("/")) for one in found if one["type"] == "directory")

    def remove_folder(self, folder: str) -> None:
        """Removes a folder with all that is in it, where it is."""
        with self._failures(), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._path(folder), recursive=True)

    def write(self, name: str, document: object) -> None:
        """Replaces a JSON document."""
        self.write_bytes(name, json.dumps(document, indent=1).encode() + b"\n")

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replaces a file."""
        protocols = self._files.protocol
        if _WHOLE_OR_NOTHING.isdisjoint([protocols] if isinstance(protocols, str) else protocols):
            with self.replacing(name) as file:
                file.write(data)
            return
        with self._failures():
            self._files.pipe_file(self._path(name), data)

    def remove(self, names: Sequence[str]) -> None:
        """Removes these files where they are."""
        with self._failures():
            for name in names:
                if self._files.exists(self._path(name)):
                    self._files.rm(self._path(name))

    def remove_empty_folder(self) -> None:
        """Removes the place itself if nothing is in it."""
        with contextlib.suppress(Exception):
            self._files.rmdir(self._root)

    def remove_unfinished(self) -> None:
        """Removes what killed exports have left under temporary names."""
        with self._failures():
            for path in self._files.find(self._root) if self._files.exists(self._root) else ():
                if posixpath.basename(path).startswith(_UNFINISHED) and path.endswith(_TEMPORARY):
                    self._files.rm(path)

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[IO[bytes]]:
        """A file that gets its name when the block has ended; after an error there is none, and an older one stays."""
        final = self._path(name)
        folder, base = posixpath.split(final)
        part = f"{folder}/{_UNFINISHED}{base}.{uuid.uuid4().hex[:8]}{_TEMPORARY}"
        with self._failures():
            try:
                self._files.makedirs(folder, exist_ok=True)
                with self._files.open(part, "wb") as file:
                    yield file
                    file.flush()
                    # On the disk before it has its name: a power cut leaves no whole name with half a file.
                    with contextlib.suppress(AttributeError, OSError):
                        os.fsync(file.fileno())
                self._files.mv(part, final)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._files.rm(part)
                raise

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        from marketfetch.storage.store_errors import StoreError

        try:
            yield
        except (MarketfetchError, StoreError, ImportError):
            raise
        except Exception as error:  # libraries of storage services have errors of their own
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"{self.shown} can't be used ({self._cut(error)}): see that it exists, that you may write there, and its free "
            f"space.{self._then}"
        )

    def _cut(self, error: Exception) -> str:
        text = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:200]


def _secrets(url: str) -> list[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return []
    return [password] if password else []
