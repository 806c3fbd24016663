"""Datasets behind URLs, from a real S3 server and a real HTTP server on this machine."""

import contextlib
import hashlib
import json
import shutil
import signal
import socket
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import boto3
import fsspec
import numpy as np
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from awaccli.artifacts.manifest import MANIFEST, Manifest, read_manifest
from awaccli.artifacts.remote import MAX_FILE_BYTES, fetch_all
from awaccli.artifacts.urls import RemotePath, as_path
from awaccli.data.dataset import open_dataset
from awaccli.errors import InputError, InterruptedRunError, UsageError

TOKEN = "token=do-not-show"
_REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Quiet(WSGIRequestHandler):
    """Keeps no diary: writing it takes longer than answering."""

    def log_request(self, *details):
        pass


class S3:
    """A server that remembers what it was asked for; its bucket `closed` is nobody's."""

    def __init__(self):
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.asked = []
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        for bucket in ("bucket", "closed"):
            self.client.create_bucket(Bucket=bucket)

    def _answer(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path))
        if path.startswith("/closed/"):
            body = b"" if method == "HEAD" else _REFUSAL
            start("403 Forbidden", [("Content-Length", str(len(body)))])
            return [body]
        return self._app(environ, start)

    def put(self, source, key):
        """Copy an artifact to the bucket; return its URL."""
        files = [file for file in source.rglob("*") if file.is_file()] if source.is_dir() else [source]
        for file in files:
            name = key + (f"/{file.relative_to(source).as_posix()}" if source.is_dir() else "")
            self.client.put_object(Bucket="bucket", Key=name, Body=file.read_bytes())
        return f"s3://bucket/{key}"

    def keys(self, prefix):
        found = self.client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix) for item in found}

    def done(self, method, prefix):
        """Return the objects below a prefix for which there was such a request since the last call."""
        start = f"/bucket/{prefix}"
        found = [path.removeprefix(start) for kind, path in self.asked if kind == method and start in path]
        self.asked.clear()
        return found

    def close(self):
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server as the environment of every S3 client says where it is; a cache for all tests."""
    found = S3()
    none = str(tmp_path_factory.getbasetemp() / "none")
    variables = {
        "AWS_ENDPOINT_URL": found.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": none,
        "AWS_SHARED_CREDENTIALS_FILE": none,
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield found
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    found.close()


@pytest.fixture
def s3(server):
    """The server, of which nobody has asked anything yet."""
    server.asked.clear()
    return server


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def forgetful():
    """Let fsspec make new clients, which read the environment anew: when called, and after the test."""
    forget = fsspec.get_filesystem_class("s3").clear_instance_cache
    yield forget
    forget()


class Pages(SimpleHTTPRequestHandler):
    """Files of the shelf: as they are, for who has the token, after a failure, or without an end."""

    asked: ClassVar[list[str]] = []
    shelf: ClassVar[Path]
    changed: ClassVar[Path]
    """Folder of what tests change."""

    def do_GET(self):
        self.asked.append(self.path)
        match self.path.lstrip("/").partition("/")[0]:
            case "signed" if not self.path.endswith(f"?{TOKEN}"):
                self.send_error(403)
            case "flaky" if self.asked.count(self.path) == 1:
                self.send_error(503)
            case "endless":
                self._go_on()
            case _:
                super().do_GET()

    def translate_path(self, path):
        how, _, rest = path.lstrip("/").partition("?")[0].partition("/")
        return str((self.changed if how == "changed" else self.shelf) / rest)

    def _go_on(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" " * (1 << 20))

    def log_message(self, *details):
        pass


@pytest.fixture(scope="module")
def pages(shelf, tmp_path_factory):
    """Address of a web server with the shelf's artifacts."""
    Pages.shelf, Pages.changed = shelf, tmp_path_factory.mktemp("changed")
    web = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


@pytest.fixture(scope="module")
def read(shelf, server):
    """URLs of datasets that no test changes, by name."""
    return {name: server.put(shelf / name, f"read/{name}") for name in ("demos.zarr", "demos.h5")}


@pytest.fixture
def broken(empty_cache, server, pages, shelf):
    """Return a function that changes one file of a dataset behind a URL, which it returns."""
    copy = Pages.changed / "demos.zarr"
    shutil.copytree(shelf / "demos.zarr", copy)

    def make(name, change):
        content = change((copy / name).read_bytes())
        (copy / name).unlink() if content is None else (copy / name).write_bytes(content)
        return f"{pages}/changed/demos.zarr"

    yield make
    shutil.rmtree(copy)


@pytest.mark.parametrize("name", ["demos.zarr", "demos.h5"])
@pytest.mark.parametrize("kind", ["s3", "http"])
def test_content_is_that_of_the_local_copy(empty_cache, kind, name, s3, read, pages, shelf):
    local = open_dataset(shelf / name)
    remote = open_dataset(read[name] if kind == "s3" else f"{pages}/plain/{name}")
    assert remote.id == local.id
    assert remote.manifest == local.manifest
    for field in local.header.fields:
        assert np.array_equal(remote.column(field), local.column(field))


def test_head_fetches_what_it_reads_and_nothing_twice(awac, empty_cache, s3, read, shelf):
    shown = awac("data", "head", read["demos.zarr"])
    assert (shown.code, shown.out) == (0, awac("data", "head", shelf / "demos.zarr").out)
    fetched = s3.done("GET", "read/demos.zarr/")
    assert len(fetched) == len(set(fetched))
    assert {name for name in fetched if not name.startswith("episodes/") and "/c/" in name} <= {
        "steps/terminations/c/0",
        "steps/truncations/c/0",
    }
    assert awac("data", "head", read["demos.zarr"]).out == shown.out
    assert s3.done("GET", "read/demos.zarr/") == [MANIFEST]
    awac("data", "head", read["demos.zarr"], "--episode", 0)
    fetched = s3.done("GET", "read/demos.zarr/")
    assert "steps/observations/c/0/0" in fetched
    assert "steps/terminations/c/0" not in fetched


def test_a_sealed_file_is_fetched_once(empty_cache, s3, read, shelf):
    for _ in range(2):
        open_dataset(read["demos.h5"])
    asked = [method for method, path in s3.asked if path == "/bucket/read/demos.h5"]
    assert asked.count("GET") == 3  # its first 512 bytes, all of it, its first 512 bytes again


def test_info_and_verify_as_of_the_local_copy(awac, s3, read, shelf):
    for name, url in read.items():
        remote, local = (awac("info", where, "--json").json for where in (url, shelf / name))
        assert remote == local | {"path": url}
        checked = awac("verify", "--deep", url, "--json").json
        assert checked["ok"]
        assert checked["path"] == url
    listed = next(
        check
        for check in awac("verify", read["demos.zarr"], "--json").json["checks"]
        if check["name"] == "files"
    )
    assert "as the manifest lists them" in listed["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "has changed"),
        (lambda content: content + b"x", "has changed"),
        (lambda content: content[:-1], "is truncated"),
        (lambda content: None, "is missing"),
    ],
)
def test_a_changed_file_is_named(awac, broken, change, words):
    name = "steps/actions/c/0/0"
    url = broken(name, change)
    assert awac("data", "head", url).code == 0  # does not look at it
    awac("data", "stats", url).failed(3, f"`{url}` is damaged: {name} {words}")
    found = awac("verify", url, "--json")
    assert found.code == 6
    assert [check["message"].split(":")[0] for check in found.json["checks"] if check["name"] == "files"] == [
        f"{name} {words}"
    ]
    found = awac("data", "validate", url, "--json")
    assert found.code == 6
    assert any(name in finding["message"] for finding in found.json["findings"])


def test_nothing_is_made_of_a_damaged_dataset(awac, empty_cache, s3, shelf):
    url = s3.put(shelf / "demos.zarr", "torn/demos.zarr")
    s3.client.put_object(Bucket="bucket", Key="torn/demos.zarr/steps/actions/c/0/0", Body=b"x")
    awac("pretrain", "--data", url, "TINY").failed(3, "steps/actions/c/0/0 is truncated")
    awac("data", "filter", url, "success", "-o", "x.zarr").failed(3, "steps/actions/c/0/0 is truncated")
    assert not Path("x.zarr").exists()


def test_verify_looks_at_what_is_there_now(awac, empty_cache, s3, shelf):
    for name in ("demos.zarr", "demos.h5"):
        url = s3.put(shelf / name, f"later/{name}")
        assert awac("verify", url).code == 0
    chunk = "later/demos.zarr/steps/actions/c/0/0"
    s3.client.put_object(Bucket="bucket", Key=chunk, Body=b"x")
    found = awac("verify", "s3://bucket/later/demos.zarr")
    assert found.code == 6
    assert "steps/actions/c/0/0 is truncated: 1 of" in found.out
    content = (shelf / "demos.h5").read_bytes()
    s3.client.put_object(Bucket="bucket", Key="later/demos.h5", Body=content[:-1] + b"x")
    found = awac("verify", "s3://bucket/later/demos.h5")
    assert found.code == 6
    assert "its checksum does not match" in found.out
    for name in ("demos.zarr", "demos.h5"):  # what is in the cache is what it was, and still good
        assert awac("data", "stats", f"s3://bucket/later/{name}").code == 0


def test_a_changed_manifest_or_sealed_file_is_refused(awac, broken, s3, shelf):
    url = broken(MANIFEST, lambda content: content.replace(b'"seed":0', b'"seed":1'))
    awac("info", url).failed(3, f"the manifest of `{url}` is damaged")
    content = bytearray((shelf / "demos.h5").read_bytes())
    content[-1] ^= 1
    s3.client.put_object(Bucket="bucket", Key="torn/demos.h5", Body=bytes(content))
    awac("info", "s3://bucket/torn/demos.h5").failed(3, "`s3://bucket/torn/demos.h5` is damaged")
    s3.client.put_object(Bucket="bucket", Key="torn/demos.h5", Body=b"something else")
    awac("info", "s3://bucket/torn/demos.h5").failed(3, "is not a dataset of awac")


def test_a_damaged_cache_is_fetched_again(empty_cache, s3, read, shelf):
    actions = open_dataset(read["demos.zarr"]).column("steps/actions")
    entry = next(e for e in read_manifest(shelf / "demos.zarr").files if e.path == "steps/actions/c/0/0")
    (kept,) = empty_cache.rglob(entry.sha256)
    kept.write_bytes(bytes(entry.size))
    s3.asked.clear()
    assert np.array_equal(open_dataset(read["demos.zarr"]).column("steps/actions"), actions)
    assert s3.done("GET", "read/demos.zarr/") == [MANIFEST, "steps/actions/c/0/0"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "../../../../outside"}, "is damaged or hostile"),
        ({"size": MAX_FILE_BYTES + 1}, "is damaged or hostile"),
        ({"path": "../outside"}, "of awac; `run.versions` in it names which"),
    ],
)
def test_a_hostile_manifest_leads_nowhere(awac, broken, change, words):
    def alter(content):
        record = json.loads(content)
        del record["sha256"]
        record["files"][0] |= change
        if "path" in change:  # what Manifest itself refuses
            body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            return body[:-1] + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
        return Manifest.model_validate(record).to_bytes()

    url = broken(MANIFEST, alter)
    Pages.asked.clear()
    awac("info", url).failed(3, "the manifest of", words)
    assert set(Pages.asked) == {f"/changed/demos.zarr/{MANIFEST}"}


class Impatient:
    """Somebody who watches, and wants to stop at once."""

    def __init__(self):
        self.seen = []

    @contextlib.contextmanager
    def phase(self, title, total, unit):
        yield self

    def update(self, done, **shown):
        self.seen.append(done)

    def interrupted(self):
        return signal.SIGTERM


def test_a_signal_stops_the_fetching_and_what_arrived_is_kept(empty_cache, s3, read, shelf):
    for name, url in read.items():
        report = Impatient()
        with pytest.raises(InterruptedRunError, match="stopped while fetching"):
            fetch_all(as_path(url), report)
        assert len(report.seen) == 1
        whole = {path for path in empty_cache.rglob("*") if path.is_file() and not path.name.startswith(".")}
        if name == "demos.zarr":  # the manifest, the first to arrive, and those that were on their way
            assert 2 <= len(whole) < len(read_manifest(shelf / name).files)
        else:
            assert not whole
        shutil.rmtree(empty_cache)


def test_a_server_without_an_end_is_not_read_to_it(awac, s3, pages):
    awac("info", f"{pages}/endless/demos.zarr").failed(3, "has more than 16777216 bytes", "hostile")


def test_what_is_not_there_or_not_for_you(awac, s3, read, pages, monkeypatch, forgetful):
    awac("info", "s3://bucket/nothing.zarr").failed(3, "`s3://bucket/nothing.zarr` is not there", "spelling")
    awac("info", "s3://no-such-bucket/x.zarr").failed(3, "`s3://no-such-bucket/x.zarr` is not there")
    awac("info", "s3://bucket/nothing.h5").failed(3, "`s3://bucket/nothing.h5` does not exist")
    awac("info", f"{pages}/plain/nothing.zarr").failed(3, "nothing.zarr` is not there")
    awac("info", "s3://closed/x.zarr").failed(3, "may not be read by you", "AWS_ACCESS_KEY_ID")
    awac("info", f"{pages}/signed/demos.zarr").failed(3, "may not be read by you: status 403", "FSSPEC_HTTP")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forgetful()
    awac("info", read["demos.zarr"]).failed(3, "no credentials were found", "AWS_PROFILE")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
    awac("info", read["demos.zarr"]).failed(3, "needs a library", "pip install 'awaccli[s3]'")


def test_a_server_that_is_not_there(awac, s3, monkeypatch, forgetful):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listening
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        awac("info", f"{address}/x.zarr").failed(
            3, f"`{address}/x.zarr/{MANIFEST}` cannot be read", "network"
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        forgetful()
        monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
        awac("info", "s3://bucket/x.zarr").failed(3, "cannot be read", "AWS_ENDPOINT_URL")


def test_a_signature_is_sent_and_never_shown(awac, empty_cache, s3, pages, tmp_path, shelf):
    shown = awac("info", f"{pages}/signed/demos.zarr?{TOKEN}", "--json")
    assert shown.json["id"] == read_manifest(shelf / "demos.zarr").id
    made = awac("data", "filter", f"{pages}/signed/demos.zarr?{TOKEN}", "index > 0", "-o", "x.zarr")
    wrong = awac("info", f"{pages}/signed/demos.zarr?{TOKEN}x", "--json")
    wrong.failed(3, "may not be read")
    assert list(read_manifest(Path("x.zarr")).run.paths.values()) == [f"{pages}/signed/demos.zarr"]
    seen = [text for result in (shown, made, wrong) for text in (result.out, result.err)]
    seen += [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(TOKEN in text for text in seen)


def test_a_password_is_refused_and_not_repeated(awac, s3):
    refused = awac("info", "https://me:hunter2@example.org/x.zarr").failed(
        2, "`https://...@example.org/x.zarr`"
    )
    assert "hunter2" not in refused.err
    refused = awac("info", "sftp://me:hunter2@example.org/x.zarr").failed(2, "awac knows no sftp://", "s3://")
    assert "hunter2" not in refused.err


def test_what_passes_is_tried_again(awac, s3, pages):
    assert awac("info", f"{pages}/flaky/demos.h5").code == 0


def test_urls_in_one_slash_and_files_that_look_like_urls(awac, s3, read, tmp_path):
    assert awac("info", read["demos.zarr"].replace("//", "/")).code == 0
    assert awac("info", "-", stdin=[read["demos.zarr"]]).code == 0
    url = as_path(Path("https://host:80/a//b/x.zarr"))
    assert isinstance(url, RemotePath)
    assert (str(url), url.name, url.suffix) == ("https://host:80/a/b/x.zarr", "x.zarr", ".zarr")
    assert not url.exists()
    (tmp_path / "s3:/bucket").mkdir(parents=True)
    assert not isinstance(as_path("s3://bucket"), RemotePath)
    with pytest.raises(UsageError, match="followed by a query"):
        as_path("s3://bucket/x.zarr?versionId=1")


def test_only_datasets_are_read_from_urls(awac, s3, shelf):
    url = s3.put(shelf / "pretrained.ckpt", "read/x.ckpt")
    for command in (("info",), ("lineage",), ("eval",), ("verify",)):
        awac(*command, url).failed(3, f"`{url}` is not a dataset, it is: checkpoint", "copy it")


def test_verbs_and_training_give_the_same_as_from_a_local_copy(awac, s3, read, shelf):
    for where, name in (
        (shelf / "demos.zarr", "local"),
        (read["demos.zarr"], "remote"),
        (read["demos.h5"], "h5"),
    ):
        assert awac("data", "filter", where, "index > 0", "-o", f"{name}.zarr").code == 0
        assert awac("pretrain", "--data", where, "--updates", 1, "-o", f"{name}.ckpt", "TINY").code == 0
    for kind in ("zarr", "ckpt"):
        manifests = [read_manifest(Path(f"{name}.{kind}")) for name in ("local", "remote", "h5")]
        assert len({manifest.id for manifest in manifests}) == 1
        assert len({manifest.recipe.key for manifest in manifests}) == 1
        assert list(manifests[1].run.paths.values()) == [read["demos.zarr"]]
    assert awac("diff", read["demos.zarr"], read["demos.h5"], "--exit-code").code == 0


def test_the_lineage_of_what_was_made_from_a_url(awac, s3, read, artifact):
    awac("pretrain", "--data", read["demos.zarr"], "--updates", 1, "-o", "x.ckpt", "TINY").made("x.ckpt")
    for command in (("lineage",), ("rebuild",), ("verify", "--deep")):
        assert awac(*command, "x.ckpt").code == 0
    for command in (("lineage",), ("rebuild",)):
        assert awac(*command, read["demos.zarr"]).code == 0
    missing = awac("finetune", "x.ckpt", "--env-steps", 5, "TINY")
    missing.failed(3, f"was at `{read['demos.zarr']}`", f"--data {read['demos.zarr']}")
    found = awac("finetune", "x.ckpt", "--data", read["demos.zarr"], "--env-steps", 5, "TINY", "--dry-run")
    assert found.code == 0, found.err
    artifact("demos.zarr")
    assert awac("finetune", "x.ckpt", "--env-steps", 5, "TINY", "--dry-run").code == 0


def test_an_export_is_the_same_artifact_with_its_manifest_last(awac, s3, shelf):
    url = "s3://bucket/made/demos.zarr"
    planned = awac("data", "export", shelf / "demos.zarr", "-o", url, "--dry-run")
    assert (planned.code, planned.out) == (0, f"would write {url} as awac\n")
    assert s3.keys("made/") == set()
    s3.asked.clear()
    done = awac("data", "export", shelf / "demos.zarr", "-o", url)
    assert (done.code, done.out) == (0, f"{url}\n"), done.err
    assert s3.done("PUT", "made/demos.zarr/")[-2:] == ["zarr.json", MANIFEST]
    files = {
        f.relative_to(shelf / "demos.zarr").as_posix(): f
        for f in (shelf / "demos.zarr").rglob("*")
        if f.is_file()
    }
    assert s3.keys("made/demos.zarr/") == files.keys()
    for name, file in files.items():
        stored = s3.client.get_object(Bucket="bucket", Key=f"made/demos.zarr/{name}")["Body"].read()
        assert stored == file.read_bytes()
    assert awac("verify", url).code == 0


def test_an_export_replaces_only_when_told(awac, s3, shelf):
    url = "s3://bucket/replaced/x.zarr"
    awac("collect-demos", "TOY", "--policy", "random", "-n", 60, "--workers", 1, "-o", "60.zarr").made(
        "60.zarr"
    )
    awac("data", "convert", "60.zarr", "--chunk-bytes", 1024, "-o", "many.zarr").made("many.zarr")
    assert awac("data", "export", "many.zarr", "-o", url).code == 0
    before = s3.keys("replaced/x.zarr/")
    awac("data", "export", shelf / "demos.zarr", "-o", url).failed(
        4, f"`{url}` already exists", "--overwrite"
    )
    awac("data", "export", shelf / "demos.zarr", "-o", url, "--dry-run").failed(4, f"`{url}` already exists")
    s3.asked.clear()
    found = awac("data", "export", shelf / "demos.zarr", "-o", url, "--overwrite", "--json").json
    assert found["path"] == url
    changes = [(method, path) for method, path in s3.asked if method in ("PUT", "DELETE")]
    assert changes[0] == ("DELETE", f"/bucket/replaced/x.zarr/{MANIFEST}")
    listed = {entry.path for entry in read_manifest(shelf / "demos.zarr").files} | {MANIFEST}
    assert s3.keys("replaced/x.zarr/") == listed
    assert before - listed
    assert awac("verify", url).code == 0
    again = awac("data", "export", url, "-o", "s3://bucket/replaced/y.zarr")
    assert again.code == 0
    assert s3.keys("replaced/y.zarr/") == listed


def test_what_is_unfinished_or_damaged_is_not_exported(awac, s3, artifact, shelf):
    url = "s3://bucket/refused/x.zarr"
    torn = artifact("demos.zarr")
    chunk = torn / "steps/actions/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    awac("data", "export", torn, "-o", url).failed(3, "steps/actions/c/0/0 has changed")
    shutil.rmtree(torn)
    part = artifact("demos.zarr", "y.zarr.part")
    awac("data", "export", part, "-o", url).failed(3, "unfinished")
    awac("data", "export", shelf / "demos.h5", "-o", url).failed(2, "must end in .h5", "convert")
    awac("data", "export", shelf / "demos.zarr", "-o", "https://example.org/x.zarr").failed(2, "only be read")
    awac("data", "export", shelf / "demos.zarr", "-o", "s3://closed/x.zarr").failed(
        3, "may not be read by you"
    )
    awac("data", "export", shelf / "demos.zarr", "-o", "s3://no-such-bucket/x.zarr").failed(
        3, "does not exist"
    )
    assert s3.keys("refused/") == set()
    awac("data", "filter", shelf / "demos.zarr", "success", "-o", url).failed(
        2, "is a URL", "awac data export"
    )


@pytest.mark.parametrize(("form", "name"), [("npz", "x.npz"), ("d4rl", "x.hdf5"), ("minari", "x")])
def test_other_formats_go_to_urls_and_come_back(awac, empty_cache, s3, shelf, form, name, tmp_path):
    url = f"s3://bucket/{form}/{name}"
    assert awac("data", "export", shelf / "demos.zarr", "--format", form, "-o", url).out == f"{url}\n"
    awac("data", "export", shelf / "demos.zarr", "--format", form, "-o", url).failed(
        4, f"`{url}` already exists"
    )
    if form == "minari":
        assert "data/metadata.json" in s3.keys("minari/x/")
        awac("data", "import", url, "-o", "y.zarr").failed(3, f"`{url}` is a folder", "one file")
        return
    s3.client.download_file("bucket", f"{form}/{name}", str(tmp_path / name))
    for where, out in ((name, "local.zarr"), (url, "remote.zarr")):
        awac("data", "import", where, "-o", out, "--name", "toy").made(out)
    local, remote = read_manifest(Path("local.zarr")), read_manifest(Path("remote.zarr"))
    assert (remote.id, remote.recipe.key) == (local.id, local.recipe.key)
    assert list(remote.run.paths.values()) == [url]


def test_an_imported_file_is_fetched_once_per_version(awac, empty_cache, s3, shelf):
    url = "s3://bucket/import/x.npz"
    for source in ("demos.zarr", "wide.zarr"):
        assert awac("data", "export", shelf / source, "-o", url, "--overwrite").code == 0
        first = awac("data", "import", url, "--name", "toy", "-o", "x.zarr", "--overwrite")
        assert f"fetching {url}: " in first.err
        assert read_manifest(Path("x.zarr")).content == read_manifest(shelf / source).content
        s3.asked.clear()
        assert awac("data", "import", url, "--name", "toy", "--if-changed", "-o", "x.zarr").code == 0
        assert s3.done("GET", "import/") == []


def test_what_is_unfinished_is_not_opened(s3):
    with pytest.raises(InputError, match="never finished"):
        open_dataset("s3://bucket/nothing.zarr.part", unfinished=True)
