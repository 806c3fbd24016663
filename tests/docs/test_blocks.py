"""The blocks of the documentation: Python runs, shell lines are understood, whole pages run as shown."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import pytest
import typer

from awaccli.cli.app import app
from awaccli.config.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + [page for page in [ROOT / "README.md"] if page.is_file()]

_NOT_RUN = re.compile(r"<!-- not run: \S.*-->$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str
    excused: bool
    """The line above says why it is not run."""

    def __str__(self):
        return f"{self.page.name}:{self.line}"


def blocks(page):
    """Return the fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, start = [], None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        before = next((text for text in reversed(lines[:start]) if text.strip()), "")
        text = "\n".join(lines[start + 1 : number]) + "\n"
        found.append(Block(page, start + 2, lines[start][3:].strip(), text, bool(_NOT_RUN.match(before))))
        start = None
    assert start is None, f"{page.name}:{start + 1}: a fence is not closed"
    return found


WHOLE = "<!-- every block of this page runs, in order, in one folder -->"
WHOLE_PAGES = [page for page in PAGES if WHOLE in page.read_text(encoding="utf-8")]
PYTHON_PAGES = [
    page
    for page in PAGES
    if page not in WHOLE_PAGES and any(b.language == "python" and not b.excused for b in blocks(page))
]
SHELL = {"sh", "bash", "console", "make"}
SHELL_BLOCKS = [
    b for page in PAGES for b in blocks(page) if b.language in SHELL and b.excused == (page in WHOLE_PAGES)
]
"""Of pages that run as a whole those that are not run: the others may use all that a shell can."""
FILE = re.compile(r"(?:#!.*\n)?# ([\w.-]+\.(?:py|toml|sh)|Makefile)\n")
"""The first line of a block that the reader is told to keep as a file."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty current folder whose modules and environments are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known, registered = set(sys.modules), set(gym.registry)
    yield tmp_path
    for name in set(gym.registry) - registered:
        if callable(gym.registry[name].entry_point):  # of a page; packages give theirs by name
            del gym.registry[name]
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_python(block, namespace):
    """Run a block, or keep it as a file; the line numbers of errors are those of the page."""
    if name := FILE.match(block.text):
        Path(name[1]).write_text(block.text)
        return
    padded = "\n" * (block.line - 1) + block.text
    exec(compile(padded, str(block.page), "exec"), namespace)


def run_shell(block):
    """Run a block in the current folder with one core; return what it printed on stdout and stderr."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    if shutil.which("taskset"):  # workers and threads are as many as the cores that a process may use
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def words(text):
    """Return the words of an output, without numbers, ids and what is drawn."""
    return {word for word in re.findall(r"[A-Za-z][A-Za-z_-]{3,}", text) if not re.fullmatch("[a-f]+", word)}


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_blocks_run_from_top_to_bottom(page, folder):
    namespace = {"__name__": "documentation"}
    for block in blocks(page):
        if block.language == "python" and not block.excused:
            run_python(block, namespace)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", WHOLE_PAGES, ids=lambda page: page.name)
def test_whole_pages_run_and_print_what_they_show(page, folder, capfd):
    namespace, printed = {"__name__": "documentation"}, ""
    for block in blocks(page):
        if block.excused:
            continue
        if block.language == "python":
            run_python(block, namespace)
            printed += "".join(capfd.readouterr())
        elif name := FILE.match(block.text):
            Path(name[1]).write_text(block.text)
        elif block.language in SHELL:
            printed += run_shell(block)
        elif block.language == "text":
            missing = words(block.text) - words(printed)
            assert not missing, f"{block}: no block before it prints {sorted(missing)}"


def test_tutorial_and_guides_run_as_a_whole():
    wanted = {DOCS / "tutorial.md", *(DOCS / "guides").glob("*.md")}
    assert len(wanted) > 3
    assert wanted <= set(WHOLE_PAGES)


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_shell_lines_are_what_the_command_line_understands(block):
    for words in awac_calls(block.text):
        command, arguments = find_command(words)
        try:
            context = command.make_context("awac", arguments)
        except Exception as error:  # noqa: BLE001 - typer's own classes are private
            pytest.fail(f"{block}: awac {shlex.join(words)}: {error}")
        except SystemExit:
            continue  # --help and --version
        resolve(assignments=context.params.get("assign") or [], preset=context.params.get("preset"))


def test_toml_blocks_are_settings(tmp_path):
    for block in (
        b for page in PAGES for b in blocks(page) if b.language == "toml" and page not in WHOLE_PAGES
    ):
        file = tmp_path / "block.toml"
        file.write_text(block.text)
        resolve(file=file)


def awac_calls(text):
    """Return the words of every `awac` call in shell lines or Make recipes, pipes taken apart."""
    text = re.sub(r"\\\n\s*", " ", text)
    calls = []
    for line in text.splitlines():
        lexer = shlex.shlex(line.removeprefix("$ ").strip(), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        current = None
        for word in lexer:
            if word == "awac" and current is None:
                current = []
                calls.append(current)
            elif set(word) <= set("();<>|&"):
                current = None
            elif current is not None:
                current.append(word)
    return [call for call in calls if call]


def find_command(words):
    """Return the command that the words name, and its arguments."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"awac has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, list(words)
