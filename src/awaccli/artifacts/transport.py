"""Single files behind URLs, through fsspec: read up to a known size, written whole, errors in plain words.

fsspec's libraries find endpoints and credentials where they always do: in the environment and their files.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

import fsspec

from awaccli.artifacts.urls import EXTRAS, RemotePath
from awaccli.errors import InputError

_HTTP = ("http", "https")
_CONNECT_S, _SILENCE_S = 20.0, 60.0
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.2
_SERVER_FAULT = 500
_BLOCK_BYTES = 1 << 20
_RAISED = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}
"""By module: what these libraries raise that is neither an OSError nor a ValueError."""
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; public data: FSSPEC_S3_ANON=true",
    "gcs": "set GOOGLE_APPLICATION_CREDENTIALS, or: gcloud auth application-default login",
    "http": """set FSSPEC_HTTP='{"headers": {"Authorization": "Bearer ..."}}'""",
}
_Result = TypeVar("_Result")


class MissingFileError(InputError):
    """There is no such file at a URL."""


def read(path: RemotePath, limit: int) -> bytes:
    """Return the first bytes of a file, ``limit`` at most.

    Raises:
        MissingFileError: there is none.
        InputError: it cannot be read.
    """
    files = _file_system(path)
    if path.scheme in _HTTP:
        return _attempted(path, lambda: _streamed(files, path, limit))
    with _in_plain_words(path):
        found: bytes = files.cat_file(_address(path), start=0, end=limit)
        return found


def facts(path: RemotePath) -> dict[str, Any]:
    """Return what the server says of a file: its ``size`` in bytes or None, and marks of its version.

    Raises:
        MissingFileError: there is none.
        InputError: it cannot be looked at.
    """
    files = _file_system(path)
    found = _attempted(path, lambda: files.info(_address(path)))
    if found.get("type") == "directory":
        raise InputError(f"`{path}` is a folder", hint="expected the URL of one file")
    marks = ("ETag", "Last-Modified", "LastModified", "generation", "md5Hash")
    return {"size": found.get("size")} | {name: str(found[name]) for name in marks if found.get(name)}


def blocks(path: RemotePath) -> Iterator[bytes]:
    """Yield a file piece by piece.

    Raises:
        InputError: it cannot be read to its end.
    """
    files = _file_system(path)
    with _in_plain_words(path), _opened(files, path) as file:
        yield from iter(partial(file.read, _BLOCK_BYTES), b"")


def exists(path: RemotePath) -> bool:
    """Return whether there is such a file, or a folder with anything in it.

    Raises:
        InputError: the server does not say.
    """
    files = _file_system(path)
    try:
        _attempted(path, lambda: files.info(_address(path)))
    except MissingFileError:
        return False
    return True


def put(source: Path, path: RemotePath) -> None:
    """Write a file; it appears when it is whole.

    Raises:
        InputError: it cannot be written.
    """
    files = _file_system(path)
    with _in_plain_words(path, "written"):
        files.put_file(str(source), _address(path))


def remove(path: RemotePath) -> None:
    """Remove a file.

    Raises:
        InputError: it cannot be removed.
    """
    files = _file_system(path)
    with _in_plain_words(path, "removed"):
        files.rm_file(_address(path))


def below(path: RemotePath, name: str) -> RemotePath:
    """Return the URL of a file whose name in the folder ``path`` is ``name``."""
    inside = RemotePath(f"{path}/{name}")
    inside.query = path.query
    return inside


def _address(path: RemotePath) -> str:
    """Return what to ask the library for."""
    if path.scheme not in _HTTP:
        return str(path)
    scheme, _, rest = str(path).partition("://")
    return f"{scheme}://{quote(rest, safe='/:[]%~')}" + (f"?{path.query}" if path.query else "")


def _file_system(path: RemotePath) -> Any:
    """Return fsspec's access to a kind of server.

    Raises:
        InputError: its library is not installed.
    """
    options: dict[str, Any] = {}
    try:
        if path.scheme in _HTTP:
            import aiohttp

            options["timeout"] = aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S
            )
        return fsspec.filesystem(path.scheme, **options)
    except ImportError as error:
        raise InputError(
            f"`{path}` needs a library that is not installed: {error.name or error}",
            hint=f"pip install 'awaccli[{EXTRAS[path.scheme]}]'",
        ) from error


@contextmanager
def _opened(files: Any, path: RemotePath) -> Iterator[IO[bytes]]:
    """Open a file to read it once from its beginning; over HTTP with a single request."""
    once = {"block_size": 0, "size": 1} if path.scheme in _HTTP else {}
    with files.open(_address(path), "rb", **once) as file:
        led_to = getattr(file, "r", None)
        if path.scheme == "https" and led_to is not None and led_to.url.scheme != "https":
            raise InputError(f"`{path}` leads to an address that is not HTTPS", hint="nothing was read")
        yield file


def _streamed(files: Any, path: RemotePath, limit: int) -> bytes:
    """Return the first bytes of a file from a server that may not know ranges, and may not stop."""
    found = bytearray()
    with _opened(files, path) as file:
        while len(found) < limit and (block := file.read(min(_BLOCK_BYTES, limit - len(found)))):
            found += block
    return bytes(found)


def _attempted(path: RemotePath, act: Callable[[], _Result]) -> _Result:
    """Return what ``act`` returns; over HTTP, where fsspec does not, try again after what may pass."""
    attempts = _ATTEMPTS if path.scheme in _HTTP else 1
    for attempt in range(1, attempts):
        try:
            return act()
        except FileNotFoundError:
            break
        except _failures() as error:
            if getattr(error, "status", _SERVER_FAULT) < _SERVER_FAULT:
                break
            time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1))
    with _in_plain_words(path):
        return act()


def _failures() -> tuple[type[Exception], ...]:
    """Return what the libraries that are loaded raise where a network or a server fails."""
    loaded = [
        getattr(sys.modules[module], name)
        for module, names in _RAISED.items()
        if module in sys.modules
        for name in names
    ]
    return (OSError, ValueError, *loaded)


@contextmanager
def _in_plain_words(path: RemotePath, what: str = "read") -> Iterator[None]:
    """Turn what the libraries raise into errors that name the URL; a signature in it is not repeated."""
    try:
        yield
    except _failures() as error:
        raise _explained(error, path, what) from (None if path.query else error)


def _explained(error: Exception, path: RemotePath, what: str) -> InputError:
    extra = EXTRAS[path.scheme]
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return MissingFileError(f"`{path}` does not exist", hint="check its spelling, and the server")
    if isinstance(error, PermissionError) or status in (401, 403):
        reason = f"status {status}" if status else str(error)
        return InputError(f"`{path}` may not be {what} by you: {reason}", hint=_CREDENTIALS[extra])
    if "Credentials" in type(error).__name__:
        return InputError(f"`{path}` cannot be {what}: no credentials were found", hint=_CREDENTIALS[extra])
    reason = f"the server answers {status}" if status else _reason(error, path)
    return InputError(
        f"`{path}` cannot be {what}: {reason}",
        hint="check the network and the endpoint (AWS_ENDPOINT_URL), then repeat the command"
        if extra == "s3"
        else "check the network and the address, then repeat the command",
    )


def _reason(error: Exception, path: RemotePath) -> str:
    return type(error).__name__ if path.query else str(error) or type(error).__name__
