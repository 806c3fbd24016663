"""The documentation against the code: blocks run, tables say what the code says, links lead somewhere."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from awaccli.algorithms.make import make_learner
from awaccli.cli.app import app
from awaccli.config.algorithms import ALGORITHMS
from awaccli.config.resolve import _flatten, load_preset, preset_names, resolve, setting_names
from awaccli.config.tree import Settings
from awaccli.data.columns import REQUIRED
from awaccli.envs.registry import list_tasks
from awaccli.episode import EndReason
from awaccli.errors import exit_code_table
from awaccli.protocols import Batch

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + [page for page in [ROOT / "README.md"] if page.is_file()]

GENERATED = re.compile(r"\.(egg-info|zarr|ckpt|part|venv)/|__pycache__")


def table(page, heading, columns):
    """Return the rows of the first table after ``heading``, the header left out, as lists of cells."""
    text = f"\n{(DOCS / page).read_text(encoding='utf-8')}".split(f"\n{heading}\n", 1)[1]
    lines = text[text.index("\n|") + 1 :].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == columns, line
        rows.append(cells)
    return rows[2:]


def test_every_command_and_flag_is_in_the_reference():
    page = DOCS / "cli.md"
    assert page.is_file(), "make docs writes it"
    text = page.read_text(encoding="utf-8")
    missing = []
    for name, command in commands():
        missing += [] if f"awac {name}" in text else [f"awac {name}"]
        visible = [
            p for p in command.params if not getattr(p, "hidden", False) and p.param_type_name == "option"
        ]
        flags = {flag for p in visible for flag in (*p.opts, *p.secondary_opts) if flag.startswith("--")}
        missing += [
            f"awac {name} {flag}" for flag in sorted(flags) if not re.search(rf"{flag}(?![\w-])", text)
        ]
    assert not missing


def test_settings_that_pages_name_exist():
    known = setting_names()
    sections = {name[: end.start()] for name in known for end in re.finditer(r"\.|$", name)}
    pattern = re.compile(rf"`((?:{'|'.join(type(Settings()).model_fields)})\.[a-z_.]+)[ `]")
    for page in PAGES:
        named = pattern.findall(page.read_text(encoding="utf-8"))
        files = {name for name in named if name.endswith((".py", ".zarr", ".toml", ".ckpt"))}
        assert set(named) - files <= sections, page.name


def test_the_table_of_presets_is_what_the_files_say():
    presets = ["modern", "released-hand", "paper-hand", "paper-gym", "smoke"]
    controls = ["no-pretraining", "shuffled-advantages"]
    assert {*presets, *controls, *ALGORITHMS} >= set(preset_names())
    assert set(preset_names()) >= {*presets, *controls}
    flat = {name: dict(_flatten(load_preset(name))) for name in presets}
    rows = {cells[0].strip("`"): cells[1:] for cells in table("algorithms.md", "### Values", 7)}
    assert rows.keys() == set().union(*flat.values())
    for name, (default, *cells) in rows.items():
        assert default == shown(setting_names()[name]), name
        assert cells == [shown(flat[p][name]) if name in flat[p] else "·" for p in presets], name


def test_every_deviation_in_the_source_has_a_row_and_every_row_its_comment():
    marked = set()
    for file in (ROOT / "src").rglob("*.py"):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if "# DEVIATION:" in line:
                marked.add(f"`{file.name}: {enclosing_function(file, number)}`")
    rows = table("algorithms.md", "## Deviations from the paper", 5)
    assert [cells[0] for cells in rows] == [str(number + 1) for number in range(len(rows))]
    places = [cells[1] for cells in rows]
    for page in sorted((DOCS / "algorithms").glob("*.md")):
        if "\n## Deviations\n" in page.read_text(encoding="utf-8"):
            places += [cells[0] for cells in table(f"algorithms/{page.name}", "## Deviations", 3)]
    named = {place for cell in places for place in re.findall(r"`\w+\.py: \w+`", cell)}
    assert named == marked


def test_every_algorithm_has_a_page():
    index = (DOCS / "algorithms.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\(algorithms/([\w-]+\.md)\)", index))
    assert linked == {page.name for page in (DOCS / "algorithms").glob("*.md")}
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "algorithms").glob("*.md"))
    for algo in ALGORITHMS.keys() - {"awac", "bc"}:
        assert re.search(rf"(?m)^# .*\b{algo}\b", text), algo


def test_every_logged_number_is_explained_and_no_other():
    tables = [table("algorithms.md", heading, 2) for heading in ("## Metrics", "### Of other algorithms")]
    documented = {name for rows in tables for cells in rows for name in re.findall(r"`([^`]+)`", cells[0])}
    produced = set()
    for algo in ALGORITHMS:
        learner = make_learner(
            algo,
            resolve(assignments=["awac.bc_updates=1"]).settings,
            observation_dim=3,
            action_dim=2,
            observation_statistics=(np.zeros(3), np.ones(3), -np.ones(3), np.ones(3)),
            action_center=np.zeros(2),
            action_half=np.ones(2),
            reward_range=(-1.0, 0.0),
            seed=0,
        )
        noise = {name: torch.full(shape, 0.1) for name, shape in learner.noise_shapes(4).items()}
        produced |= learner.update(batch(), noise).keys() | learner.diagnose(batch(), noise).keys()
    for file in ("evaluate.py", "held_out.py", "training.py"):
        source = (ROOT / "src/awaccli/stages" / file).read_text(encoding="utf-8")
        produced |= set(re.findall(r'"(eval/\w+|held_out/\w+|q_gap|robot_min)"', source))
    assert documented == produced | {"phase", "updates", "env_steps", "wall_s"}


def test_the_table_of_fields_is_what_is_stored():
    rows = table("dataset-format.md", "## Arrays", 4)
    assert {name.strip("`"): dtype.strip("`") for name, dtype, *_ in rows} == dict(REQUIRED)


def test_end_reasons_exit_codes_and_tasks_are_those_of_the_code():
    reasons = table("dataset-format.md", "### End reasons", 3)
    assert [(int(code), name.strip("`")) for code, name, _ in reasons] == [
        (r.value, r.name) for r in EndReason
    ]
    codes = table("troubleshooting.md", "## Exit codes", 3)
    assert {int(code): meaning for code, meaning, _ in codes} == exit_code_table()
    rows = [[cell.strip("`") for cell in cells] for cells in table("tasks.md", "# Tasks", 6)]
    named = {(name, env_id, int(horizon), expert[:3]) for name, env_id, horizon, _, _, expert in rows}
    known = {(t.name, t.env_id, t.horizon, "yes" if t.has_expert else "no") for t in list_tasks()}
    assert named == known


def test_every_file_of_the_source_rooms_is_known_to_the_page_on_architecture():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src/awaccli"
    rooms = [entry.name for entry in package.iterdir() if (entry / "__init__.py").is_file()]
    assert [room for room in rooms if f"`{room}/`" not in text] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS).as_posix() for page in [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")]]
    assert [page for page in pages if f"]({page})" not in index] == ["README.md"]


def test_every_command_is_spoken_of_outside_the_reference():
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.name != "cli.md"]
    silent = [name for name, _ in commands() if not any(f"awac {name}" in text for text in texts)]
    assert silent == []


def test_no_file_names_a_place_on_somebodys_machine():
    places = [f"/{name}/" for name in ("work", "root", "home")]
    folders = ("docs", "src", "tests", "examples", "datasets", "benchmarks", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    files += [file for file in ROOT.iterdir() if not file.name.startswith(".")]
    kinds = {".py", ".md", ".toml", ".txt", ""}
    texts = [f for f in files if f.suffix in kinds and f.is_file() and not GENERATED.search(str(f))]
    found = [
        f"{file.relative_to(ROOT)}: {place}"
        for file in texts
        for place in places
        if re.search(rf"(?<![\w.\])]){place}", file.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def commands(group=None, prefix=""):
    """Return every visible command of the command line with its name, those of groups too."""
    group = group or typer.main.get_command(app)
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, f"{prefix}{name} ")
        elif not command.hidden:
            found.append((prefix + name, command))
    return found


def shown(value):
    """Return a setting's value as the tables write it."""
    if isinstance(value, list | tuple):
        return f"{len(value)} x {value[0]}"
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def enclosing_function(file, line):
    """Return the name of the innermost function around a line."""
    functions = [
        n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)
    ]
    around = [f for f in functions if f.lineno <= line <= f.end_lineno]
    return max(around, key=lambda function: function.lineno).name


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def batch():
    """Return four transitions of zeros."""
    return Batch(
        observations=torch.zeros(4, 3),
        actions=torch.zeros(4, 2),
        rewards=torch.zeros(4),
        bootstraps=torch.ones(4),
        next_observations=torch.zeros(4, 3),
        returns=torch.zeros(4),
        offline=torch.arange(4) < 2,
        importance=torch.ones(4),
    )
