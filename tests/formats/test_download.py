"""Downloads from a real server in this process: resumed, checked, refused, and explained."""

import fcntl
import hashlib
import http.server
import socket
import threading
from dataclasses import replace

import pytest

from awaccli.artifacts.identity import sha256_file
from awaccli.data import public_sets
from awaccli.data.download import download, find_public_set
from awaccli.data.public_sets import PUBLIC_SETS, PublicFile, PublicSet
from awaccli.errors import InputError, OutputExistsError, UsageError

CONTENT = bytes(range(256)) * 40_000  # 10 MB: several blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; the server says how it misbehaves."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/gone":
            self.send_response(302)
            self.send_header("Location", "/nowhere")
            self.end_headers()
            return
        if not self.path.endswith("file.bin"):
            self.send_error(404)
            return
        start, whole = 0, server.content
        given = self.headers.get("Range")
        if given and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(given.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start : start + server.at_once])
        if len(whole) - start > server.at_once:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Return a running server; `address` is its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.content, running.etag, running.ranges, running.at_once = CONTENT, '"one"', True, 1 << 30
        running.asked = []
        running.handle_error = lambda *_: None  # it hangs up on purpose
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def known(server):
    """Return a function that makes a set with one file on the server."""

    def make(**changes):
        file = PublicFile("file.bin", f"{server.address}/file.bin", len(CONTENT), SHA256)
        return PublicSet(
            "toy", "a toy", "npz", "door", (replace(file, **changes),), PUBLIC_SETS["dapg-door"].credits
        )

    return make


def test_a_file_comes_whole_and_is_only_checked_the_second_time(server, known, tmp_path):
    (found,) = download(known(), tmp_path)
    assert found.path == tmp_path / "toy" / "file.bin"
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.pinned, found.already) == (SHA256, True, False)
    (again,) = download(known(), tmp_path)
    assert again.already
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["file.bin"]


def test_an_interrupted_download_goes_on_where_it_stopped(server, known, tmp_path):
    server.at_once = 4_000_000
    for done in (4_000_000, 8_000_000):
        with pytest.raises(InputError, match="the connection") as caught:
            download(known(), tmp_path)
        assert "repeat the command to go on" in caught.value.hint
        assert (tmp_path / "toy/file.bin.partial").stat().st_size == done
        assert not (tmp_path / "toy/file.bin").exists()
    (found,) = download(known(), tmp_path)
    assert found.path.read_bytes() == CONTENT
    assert [given for _, given in server.asked] == [None, "bytes=4000000-", "bytes=8000000-"]


@pytest.mark.parametrize("change", ["no ranges", "another version"])
def test_it_starts_over_where_it_cannot_go_on(server, known, tmp_path, change):
    server.at_once = 4_000_000
    with pytest.raises(InputError):
        download(known(), tmp_path)
    server.at_once = 1 << 30
    if change == "no ranges":
        server.ranges = False
    else:
        server.content, server.etag = CONTENT[::-1], '"two"'
    (found,) = download(known(size_bytes=None, sha256=None), tmp_path)
    assert found.path.read_bytes() == server.content
    assert server.asked[-1][1] == "bytes=4000000-"


def test_a_file_that_arrived_whole_is_renamed_without_asking_again(server, known, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/file.bin.partial").write_bytes(CONTENT)
    (found,) = download(known(), tmp_path)
    assert (found.path.read_bytes(), server.asked) == (CONTENT, [])


def test_another_file_than_the_known_one_is_refused_and_not_kept(server, known, tmp_path):
    with pytest.raises(InputError, match=r"has SHA-256 .* expected 000000"):
        download(known(sha256="0" * 64), tmp_path)
    assert not list((tmp_path / "toy").iterdir())
    with pytest.raises(InputError, match="has 10240000 bytes, expected 7"):
        download(known(size_bytes=7), tmp_path)


def test_what_changed_since_is_fetched_again(server, known, tmp_path):
    (found,) = download(known(), tmp_path)
    found.path.write_bytes(b"edited")
    (again,) = download(known(), tmp_path)
    assert not again.already
    assert again.path.read_bytes() == CONTENT


def test_a_missing_file_and_a_missing_network_are_explained(server, known, tmp_path):
    for path in ("/nothing.bin", "/gone"):
        with pytest.raises(InputError, match="the server says 404") as caught:
            download(known(url=server.address + path), tmp_path)
        assert "give the file to `awac data import`" in caught.value.hint
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"cannot be reached: .*refused"):
        download(known(), tmp_path)
    assert not list(tmp_path.rglob("*.partial"))


def test_two_processes_do_not_write_the_same_file(known, tmp_path):
    (tmp_path / "toy").mkdir()
    with (tmp_path / "toy/file.bin.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputExistsError, match="being written by another process"):
            download(known(), tmp_path)
    assert download(known(), tmp_path)[0].sha256 == SHA256


def test_the_command_takes_a_mirror_and_the_users_cache(awac, server, known, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(
        public_sets.PUBLIC_SETS, "toy", known(url="https://nowhere.invalid/file.bin", sha256=None)
    )
    result = awac("data", "download", "toy", "--mirror", server.address)
    path = tmp_path / "cache/awac/downloads/toy/file.bin"
    assert (result.code, result.out) == (0, f"{path}\n")
    assert sha256_file(path) == SHA256
    assert f"file.bin: {len(CONTENT)} bytes, SHA-256 {SHA256} (not known before)" in result.err
    assert f"awac data import {path} --format npz --task door" in result.err
    found = awac("data", "download", "toy", "--json").json
    assert found["files"] == [
        {"path": str(path), "size_bytes": len(CONTENT), "sha256": SHA256, "pinned": False}
    ]


def test_the_command_offline(awac, monkeypatch, tmp_path):
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    awac("data", "download", "dapg-door", "--folder", tmp_path).failed(3, "cannot be reached", "--mirror")


def _no_network(*_, **__):
    raise socket.gaierror(-3, "Temporary failure in name resolution")


def test_the_list_of_known_sets(awac):
    shown = awac("data", "download", "--list").out
    found = awac("data", "download", "--list", "--json").json["sets"]
    assert {f["name"] for f in found} == set(PUBLIC_SETS)
    for entry in found:
        assert entry["name"] in shown
        assert all(url.startswith("https://") for url in entry["urls"])
    assert [f["name"] for f in found if f["pinned"]] == ["dapg-door"]
    awac("data", "download").failed(2, "which public set?", "--list")
    awac("data", "download", "dapg-dor").failed(2, "no public set `dapg-dor`", "did you mean `dapg-door`")
    with pytest.raises(UsageError):
        find_public_set("nothing")


def test_the_pinned_hash_is_that_of_the_real_file(human_door):
    (file,) = PUBLIC_SETS["dapg-door"].files
    assert (file.size_bytes, file.sha256) == (human_door.stat().st_size, sha256_file(human_door))
