"""Help texts, their examples, the reference page, and how little the command line imports."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from awaccli.cli.app import command
from awaccli.cli.reference import helps, reference
from awaccli.errors import exit_code_table

HELPS = dict(helps())
COMMANDS = {name: text for name, text in HELPS.items() if "Commands:" not in text}
HEAVY = {"torch", "mujoco", "zarr", "numpy", "gymnasium", "h5py", "safetensors", "rich", "awaccli.stages"}


def test_every_command_of_the_design_is_there():
    pipeline = {"collect-demos", "bc-rollout", "pretrain", "finetune", "eval"}
    assert {f"awac {name}" for name in pipeline | {"info", "compare", "tasks", "config show"}} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_gives_an_example_that_parses(name):
    text = COMMANDS[name]
    examples = re.findall(r"^ +Example: (awac .*)$", text, re.MULTILINE)
    assert examples
    assert any(line.strip().startswith(f"Example: {name}") for line in text.splitlines())
    for example in examples:
        assert len(f"  Example: {example}") <= 80  # whole in a narrow terminal
        words = shlex.split(example)[1:]
        node = command()
        while hasattr(node, "commands"):
            node = node.commands[words.pop(0)]
        context = node.make_context("awac", words)  # an error of Typer where it does not parse
        assert not context.args


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text(name):
    options = COMMANDS[name].partition("Options:\n")[2]
    for line in options.splitlines():
        flag = re.fullmatch(r"  (-\S.*?)(?:  +(.*))?", line)
        following = options.partition(line)[2].lstrip("\n").partition("\n")[0]
        assert not flag or flag[2] or following.startswith(" " * 10), line


@pytest.mark.parametrize("name", ["collect-demos", "bc-rollout", "pretrain", "finetune", "eval"])
def test_the_same_flag_means_the_same_thing_everywhere(name):
    shared = "--seed --config --preset --set --workers --overwrite --resume --if-changed --dry-run --json "
    shared += "--quiet --verbose --time-limit"
    for flag in shared.split():
        (line,) = re.findall(rf"^ +(?:-\w, )?{flag}\b.*$", HELPS[f"awac {name}"], re.MULTILINE)
        (twin,) = re.findall(rf"^ +(?:-\w, )?{flag}\b.*$", HELPS["awac pretrain"], re.MULTILINE)
        assert line.split()[:6] == twin.split()[:6]


def test_the_exit_codes_are_in_the_help():
    text = " ".join(HELPS["awac"].split())
    assert all(f"{code} {meaning}" in text for code, meaning in exit_code_table().items())


def test_help_and_version_go_to_stdout(awac):
    assert awac("--help").out.startswith("Usage: awac [OPTIONS] COMMAND")
    assert awac("eval", "-h").out.startswith("Usage: awac eval [OPTIONS]")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", awac("--version").out)


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch):
    before = reference()
    for name, value in (("COLUMNS", "40"), ("TERMINAL_WIDTH", "40"), ("FORCE_COLOR", "1"), ("LINES", "9")):
        monkeypatch.setenv(name, value)
    assert reference() == before
    assert max(map(len, before.splitlines())) <= 110
    assert "\x1b" not in before


def test_the_reference_in_the_documentation_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    assert page.read_text() == reference().rstrip() + "\n", "run `make docs`"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("awaccli.cli.app", HEAVY),
        ("awaccli.stages.collect_demos", {"torch", "mujoco"}),
        ("awaccli.stages.evaluate", {"torch", "mujoco"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module, absent):
    program = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not absent & set(found.stdout.split())
