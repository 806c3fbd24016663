"""Small files that claim, or unpack to, more than any memory holds: refused before anything is unpacked."""

import json
import resource
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import specimens
from numcodecs import zstd

from awaccli.artifacts import hdf5
from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.commit import Existing, check_free
from awaccli.artifacts.json_file import MAX_JSON_BYTES
from awaccli.artifacts.manifest import read_manifest
from awaccli.config.json_value import MAX_VALUES
from awaccli.data.dataset import open_dataset
from awaccli.data.evaluation import open_evaluation
from awaccli.data.stores import FREE_BYTES, MAX_CHUNK_BYTES, MAX_RATIO, Allowance, FieldInfo
from awaccli.errors import DatasetError
from awaccli.reports.info import info
from awaccli.reports.success import comparison
from awaccli.reports.verify import Verifier

EIGHT_GB = 8 << 30
OURS = {"compression": "gzip", "shuffle": True}
V110 = ("v110", "v110")


@contextmanager
def little_memory(spare=400 << 20):
    """Let this process take no more than ``spare`` bytes on top of what it has: 8 GB are not to be had."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


# Zarr


def array_json(path, change, name="steps/rewards"):
    specimens.edit_json(path / name / "zarr.json", change)
    return specimens.reseal_folder(path)


def commit_json(path, **counts):
    specimens.edit_json(path / "zarr.json", lambda root: root["attributes"]["awac"]["commit"].update(counts))
    return specimens.reseal_folder(path)


def declares_rows(path):
    array_json(path, lambda array: array.update(shape=[EIGHT_GB // 4]))
    return commit_json(path, n_steps=EIGHT_GB // 4)


def declares_a_chunk(path):
    return array_json(path, lambda array: array["chunk_grid"]["configuration"].update(chunk_shape=[EIGHT_GB]))


def packs_a_bomb(path):
    """A chunk of zeros that unpacks to 512 MB, of which the field declares four bytes each."""
    (path / "steps/rewards/c/0").write_bytes(zstd.compress(np.zeros(512 << 20, np.uint8), 1))
    return specimens.reseal_folder(path)


def packs_two_frames(path):
    file = path / "steps/rewards/c/0"
    file.write_bytes(file.read_bytes() + zstd.compress(np.zeros(64 << 20, np.uint8), 1))
    return specimens.reseal_folder(path)


def hides_the_size(path):
    """A frame that does not say what it unpacks to: one block of a repeated byte."""
    block = (1 | 1 << 1 | 100_000 << 3).to_bytes(3, "little") + b"\7"
    (path / "steps/rewards/c/0").write_bytes(b"\x28\xb5\x2f\xfd\x00\x58" + block)
    return specimens.reseal_folder(path)


def packs_noise(path):
    (path / "steps/rewards/c/0").write_bytes(bytes(4 << 20))
    return specimens.reseal_folder(path)


def packed_twice(path):
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip"}, {"name": "gzip"}]
    return array_json(path, lambda array: array.update(codecs=codecs))


@pytest.mark.parametrize(
    ("corrupt", "words"),
    [
        (declares_rows, "rows"),
        (declares_a_chunk, "bytes at once"),
        (packs_a_bomb, "steps/rewards is damaged in c/0: it is no zstd frame of"),
        (packs_two_frames, "steps/rewards is damaged in c/0"),
        (hides_the_size, "steps/rewards is damaged in c/0: it is no zstd frame of"),
        (packs_noise, "steps/rewards is damaged in c/0: it is larger than what it holds"),
        (packed_twice, "steps/rewards is stored in a way awac does not read: codecs"),
    ],
)
def test_zarr(take, refuses, corrupt, words):
    path = corrupt(take("x.zarr"))

    def read(path):
        open_dataset(path).column("steps/rewards")

    with little_memory():
        assert words in refuses(read, path)
        assert Verifier().verify(path).ok is False


@pytest.mark.parametrize("name", ["x.zarr", "x.h5"])
def test_fields_that_are_each_within_the_limits_are_counted_together(take, refuses, monkeypatch, name):
    path = take(name)
    monkeypatch.setattr("awaccli.data.stores.MAX_RATIO", 0)
    for limit in (500, 1000):  # opening reads the table of episodes, and more after it
        monkeypatch.setattr("awaccli.data.stores.FREE_BYTES", limit)

        def read(path):
            for _ in open_dataset(path):
                pass

        assert f"expected at most {limit}" in refusal_hint(read, path)
    monkeypatch.setattr("awaccli.data.stores.FREE_BYTES", 10_000)
    read(path)


def refusal_hint(read, path):
    with pytest.raises(DatasetError, match="makes it unpack to") as caught:
        read(path)
    return caught.value.hint


def test_what_people_record_is_within_the_allowance(tmp_path):
    """A dataset of 4 GB may unpack to 500 times as much as it takes."""
    path = tmp_path / "x.h5"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(4 << 30)  # sparse
    Allowance(path).spend("steps/observations", FieldInfo("<f4", (1 << 30, 100), (1, 100)))
    assert MAX_RATIO * (4 << 30) > 4 * (100 << 30)


# HDF5


def rewritten(path, name, write):
    with h5py.File(path, "r+", libver=V110) as file:
        if name in file:
            del file[name]
        write(file)
    return specimens.reseal_hdf5(path)


def huge_in_hdf5(file):
    file.create_dataset("steps/rewards", (EIGHT_GB // 4,), "<f4", chunks=(1 << 10,), **OURS)


def huge_chunk_in_hdf5(file):
    file.create_dataset("steps/rewards", (1 << 28,), "<f4", chunks=(1 << 28,), **OURS)


def bomb_in_hdf5(file, size_mb=100):
    """A chunk that unpacks to megabytes where 120 bytes are declared."""
    data = file.create_dataset("steps/rewards", (30,), "<f4", chunks=(30,), **OURS)
    packer = zlib.compressobj(9 if size_mb == 1 else 1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size_mb)) + packer.flush()
    data.id.write_direct_chunk((0,), packed)


def bomb_in_two_steps(file):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((30,))
    plan.set_deflate(9)
    plan.set_deflate(9)
    space = h5py.h5s.create_simple((30,))
    data = h5py.h5d.create(file["steps"].id, b"rewards", h5py.h5t.IEEE_F32LE, space, plan)
    data.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(30, np.float32))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (huge_in_hdf5, "a part of it is missing"),
        (huge_chunk_in_hdf5, "missing"),
        (bomb_in_hdf5, "piece 0 is larger than what it holds"),
        (lambda file: bomb_in_hdf5(file, 1), "does not decompress to 120 bytes"),
        (bomb_in_two_steps, "other filters"),
    ],
)
def test_hdf5(take, refuses, write, words):
    path = rewritten(take("x.h5"), "steps/rewards", write)

    def read(path):
        open_dataset(path).column("steps/rewards")

    with little_memory(60 << 20):
        message = refuses(read, path)
        assert "steps/rewards" in message
        assert words in message
        assert Verifier().verify(path).ok is False


@pytest.mark.parametrize("entry", ["manifest", "awac"])
@pytest.mark.parametrize(
    "write",
    [
        lambda file, name: file.create_dataset(name, (EIGHT_GB,), "u1"),
        lambda file, name: file.create_dataset(name, (EIGHT_GB,), "u1", chunks=(1 << 20,), **OURS),
        lambda file, name: file.create_dataset(name, data=np.zeros(100 << 20, "u1"), **OURS),
        lambda file, name: file.create_dataset(name, data=np.zeros(MAX_JSON_BYTES + 1, "u1")),
        lambda file, name: file.create_dataset(
            name, (EIGHT_GB,), "u1", external=[("/dev/zero", 0, EIGHT_GB)]
        ),
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
        lambda file, name: file.__setitem__(name, h5py.SoftLink("/steps/rewards")),
        lambda file, name: file.__setitem__(name, file["steps/observations"]),
        lambda file, name: file.create_dataset(name, data="text"),
        lambda file, name: file.create_group(name),
    ],
)
def test_the_texts_of_a_file_are_read_as_carefully_as_its_arrays(take, entry, write, tmp_path):
    """Commands look at the manifest first: `info`, `verify`, `compare` and `--if-changed` too."""
    path = take("x.h5")
    recipe = read_manifest(path).recipe
    rewritten(path, entry, lambda file: write(file, entry))
    with little_memory():
        for read in (info, open_dataset, lambda path: comparison([path])):
            with pytest.raises(DatasetError) as caught:
                read(path)
            assert path.name in str(caught.value)
            assert entry in str(caught.value)
        assert Verifier().verify(path).ok is False
        if entry == "manifest":
            assert not check_free(path, recipe, Existing.IF_CHANGED)


def test_a_file_of_nothing_but_holes_is_hashed_and_not_loaded(tmp_path):
    path = tmp_path / "x.h5"
    with path.open("wb") as file:
        file.truncate(60 << 20)
    with little_memory(30 << 20):
        hdf5.seal(path)
        with pytest.raises(DatasetError, match="its beginning is not stored as awac stores it"):
            open_dataset(path)


# JSON and safetensors


@pytest.mark.parametrize(
    "name", ["x.json", "x.ckpt/manifest.json", "x.zarr/manifest.json", "x.zarr/zarr.json"]
)
@pytest.mark.parametrize("kind", ["holes", "lists", "objects"])
def test_json_of_any_size_is_no_input(tmp_path, take, kind, name):
    path = take(name.partition("/")[0])
    file = tmp_path / name
    if kind == "holes":
        with file.open("r+b") as raw:
            raw.truncate(EIGHT_GB)
    else:
        many = 2 * MAX_VALUES
        text = {"lists": "[" + "[]," * many + "0]", "objects": "[" + '{"a":0},' * (many // 2) + "0]"}[kind]
        if file.name == "manifest.json":
            body = json.dumps(specimens.manifest_record(file.read_bytes()))
            file.write_bytes(specimens.sealed_text(f'{{"files":{text},{body[1:]}'.encode()))
        else:
            file.write_text(f'{{"zarr_format":3,"manifest":"","attributes":{{"awac":{text}}}}}')
    with little_memory():
        for read in (info, lambda path: comparison([path])):
            with pytest.raises(
                Exception, match=r"bytes of JSON|values|damaged|not an awac artifact"
            ) as caught:
                read(path)
            assert caught.value.exit_code == 3
            assert path.name in str(caught.value)


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


FACTS = {"awac": json.dumps({"kind": "gaussian", "config": {}})}
TENSORS = {
    "a header that claims exabytes": (1 << 60).to_bytes(8, "little") + b"{}",
    "a header of 20 MB": safetensors(b" " * (20 << 20)),
    "a tensor of 8 GB": safetensors(
        {"w": {"dtype": "F32", "shape": [1 << 31], "data_offsets": [0, EIGHT_GB]}}
    ),
    "a shape that overflows": safetensors(
        {"w": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "overlapping tensors": safetensors(
        {
            "v": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "w": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]},
        },
        b"\0" * 6,
    ),
    "bytes between tensors": safetensors(
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, b"\0" * 12
    ),
    "offsets that go back": safetensors(
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"\0" * 4
    ),
    "complex numbers": safetensors(
        {"__metadata__": FACTS, "w": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8
    ),
    "bfloat16": safetensors(
        {"__metadata__": FACTS, "w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"\0" * 2
    ),
    "an unknown dtype": safetensors({"w": {"dtype": "X", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "no facts": safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "deep facts": safetensors({"__metadata__": {"awac": "[" * 100_000 + "]" * 100_000}}),
    "a list of facts": safetensors({"__metadata__": {"awac": "[1]"}}),
    "facts with 1e999": safetensors({"__metadata__": {"awac": '{"updates": 1e999}'}}),
    "facts with a huge number": safetensors({"__metadata__": {"awac": f'{{"updates": {"9" * 5000}}}'}}),
    "not finite": safetensors(
        {"__metadata__": FACTS, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        np.float32("inf").tobytes(),
    ),
}


@pytest.mark.parametrize("what", TENSORS)
@pytest.mark.parametrize("file", ["policy.safetensors", "trainer.safetensors"])
def test_safetensors(take, refuses, what, file):
    path = take("x.ckpt")
    (path / file).write_bytes(TENSORS[what])
    specimens.reseal_folder(path)

    def read(path):
        opened = open_checkpoint(path)
        opened.policy(), opened.trainer()

    with little_memory():
        assert file in refuses(read, path)
        assert Verifier().verify(path).ok is False


# Nesting and numbers

DEEP = "[" * 100_000 + "]" * 100_000
RATHER_DEEP = "[" * 500 + "]" * 500
ODD = {
    "deep": DEEP,
    "rather deep": RATHER_DEEP,
    "infinite": "1e999",
    "not a number": "NaN",
    "long": "9" * 5000,
    "beyond 64 bits": str(1 << 64),
    "no Unicode": '"\\ud800"',
}


def with_value(text, value):
    return text.replace('"MARK"', value)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place", ["zarr.json", "array", "manifest", "checkpoint", "evaluation", "inside", "h5"]
)
def test_values_that_no_writer_of_json_makes(take, refuses, tries, place, odd):
    value = ODD[odd]
    read, path = info, take({"checkpoint": "x.ckpt", "h5": "x.h5"}.get(place, "x.zarr"))
    match place:
        case "zarr.json":
            file = path / "zarr.json"
            specimens.edit_json(
                file, lambda root: root["attributes"]["awac"]["task"]["spec"].update(kwargs="MARK")
            )
            file.write_text(with_value(file.read_text(), f'{{"x":{value}}}'))
            specimens.reseal_folder(path)
        case "array":
            file = path / "steps/actions/zarr.json"
            specimens.edit_json(file, lambda array: array.update(attributes="MARK"))
            file.write_text(with_value(file.read_text(), value))
            specimens.reseal_folder(path)
        case "manifest" | "checkpoint":
            file = path / "manifest.json"
            record = specimens.manifest_record(file.read_bytes())
            record["recipe"]["settings"] = {"x": "MARK"}
            text = json.dumps(record, sort_keys=True, separators=(",", ":"))
            file.write_bytes(specimens.sealed_text(with_value(text, value).encode()))
        case "evaluation" | "inside":
            path, read = take("x.json"), open_evaluation
            record = json.loads(path.read_bytes())
            if place == "evaluation":
                path.write_text(with_value(json.dumps(record | {"task": "MARK"}), value))
            else:
                inner = json.dumps(specimens.manifest_record(record["manifest"].encode()) | {"task": "MARK"})
                sealed = specimens.sealed_text(with_value(inner, value).encode()).decode()
                path.write_text(json.dumps(record | {"manifest": sealed}, indent=1) + "\n")
        case "h5":
            header = dict(open_dataset(path).header.to_json()) | {"sources": "MARK"}
            text = with_value(json.dumps(header), value).encode()
            rewritten(path, "awac", lambda file: file.create_dataset("awac", data=np.frombuffer(text, "u1")))
    refuses(read, path)
    verified = tries(Verifier(deep=True).verify, path)
    assert verified is None or verified.ok is False


def test_a_field_may_declare_what_fits(take):
    assert MAX_CHUNK_BYTES <= FREE_BYTES
    assert open_dataset(take("x.zarr")).column("steps/rewards").shape == (30,)
