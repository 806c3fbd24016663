"""Names in a stranger's file are shown, never executed by the terminal."""

import sys

import pytest
import specimens

from awaccli.data.dataset import open_dataset

CLEAR, TITLE = "\x1b[2J", "\x9d0;title\x07"


@pytest.fixture
def named(take):
    """A sound dataset whose texts are commands to a terminal; who acted is outside its id."""

    def name(text):
        path = take("x.zarr")
        root = path / "zarr.json"
        specimens.edit_json(root, lambda found: found["attributes"]["awac"]["sources"][0].update(name=text))
        return specimens.reseal_folder(path)

    return name


@pytest.mark.parametrize("text", [CLEAR, TITLE, "\x7f\r\b"])
def test_a_terminal_gets_no_commands(awac, named, monkeypatch, text):
    path = named(text)
    assert text in awac("info", path).out  # a program gets what is there
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    shown = awac("info", path).out
    assert shown.replace("\n", "").isprintable()
    assert f"\\x{ord(text[0]):02x}" in shown


def test_an_error_gives_no_commands_either(awac, take, monkeypatch):
    path = take("x.zarr")
    root = path / "zarr.json"
    specimens.edit_json(root, lambda found: found["attributes"]["awac"].update(format=f"awac{CLEAR}"))
    specimens.reseal_folder(path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    awac("info", path).refused("has format")
    assert "\x1b" not in awac("info", path).err


@pytest.mark.parametrize("name", ["a\x1bb", "a\nb", "a\0b", "", "x" * 101])
def test_the_name_of_a_task_names_files(take, refuses, name):
    path = take("x.zarr")
    root = path / "zarr.json"
    specimens.edit_json(root, lambda found: found["attributes"]["awac"]["task"]["spec"].update(name=name))
    specimens.reseal_folder(path)
    assert "task.spec.name" in refuses(open_dataset, path)
