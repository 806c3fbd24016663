"""``awac lineage``: the chain of an artifact, with its parents there, moved, and gone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from awaccli.artifacts.manifest import Ancestor, InputRef, read_manifest

ROOT = Path(__file__).parents[2]
DEMOS = ROOT / "datasets" / "relocate-demos.h5"
TREE = """\
evaluation result.json  eval, episodes 3, actions mean, seed 0  at result.json
└─ checkpoint: checkpoint finetuned.ckpt  finetune, env_steps 25, lam 0.5, seed 0  at finetuned.ckpt
   ├─ checkpoint: checkpoint pretrained.ckpt  pretrain, algo awac, updates 6, lam 0.5, seed 0  at pretrained.ckpt
   │  └─ data: dataset toy.zarr  bc-rollout, episodes 5, actions sample, updates 40, seed 0  at toy.zarr
   │     ├─ demos: dataset demos.zarr  collect-demos, episodes 4, policy random, seed 0  at demos.zarr
   │     └─ clone: checkpoint toy-bc.ckpt  pretrain, algo bc, updates 40, seed 0  at toy-bc.ckpt
   │        └─ data: dataset demos.zarr (above)
   ├─ data: dataset toy.zarr (above)
   └─ collected: dataset finetuned-online.zarr  finetune-online, env_steps 25, lam 0.5, seed 0  at finetuned-online.zarr
"""  # noqa: E501
NAMES = re.findall(r"(\S+)(?=  \S+, )", TREE)
PARENTS = {
    ("eval", "finetune", "checkpoint"),
    ("finetune", "pretrain", "checkpoint"),
    ("finetune", "bc-rollout", "data"),
    ("finetune", "finetune-online", "collected"),
    ("finetune-online", "pretrain", "checkpoint"),
    ("finetune-online", "bc-rollout", "data"),
    ("pretrain", "bc-rollout", "data"),
    ("bc-rollout", "collect-demos", "demos"),
    ("bc-rollout", "pretrain", "clone"),
    ("pretrain", "collect-demos", "data"),
}


@pytest.fixture(scope="module")
def names(shelf):
    """Return the names of the shelf's artifacts by short id."""
    return {read_manifest(shelf / name).id[:12]: name for name in NAMES}


@pytest.fixture
def on_the_shelf(awac, shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    return awac


def rewrite(path, **changes):
    manifest = read_manifest(path)
    (path / "manifest.json").write_bytes(manifest.model_copy(update=changes).to_bytes())


def edges_of(found):
    stages = {node["id"]: node["stage"] for node in found["nodes"]}
    return {(stages[edge["to"]], stages[edge["from"]], edge["role"]) for edge in found["edges"]}


def test_the_chain_is_drawn_down_to_its_roots_and_every_node_once(on_the_shelf, names):
    text = on_the_shelf("lineage", "result.json").out
    assert len(names) == len(NAMES) == 7
    for short, name in names.items():
        text = text.replace(short, name)
    assert text == TREE


def test_the_graph_is_the_same_when_all_parents_are_deleted(awac, artifact, shelf, monkeypatch):
    alone = awac("lineage", artifact("result.json"), "--json").json
    monkeypatch.chdir(shelf)
    there = awac("lineage", "result.json", "--json").json
    assert edges_of(alone) == edges_of(there) == PARENTS
    assert alone["edges"] == there["edges"]
    assert all(node["present"] and node["path"] for node in there["nodes"])
    assert [node["stage"] for node in alone["nodes"] if node["present"]] == ["eval"]
    unplaced = {"present": None, "path": None}
    assert [node | unplaced for node in alone["nodes"]] == [node | unplaced for node in there["nodes"]]


def test_what_is_gone_is_said_to_be(awac, artifact):
    lines = awac("lineage", artifact("finetuned.ckpt")).out.splitlines()
    assert lines[0].endswith("  at finetuned.ckpt")
    assert all(line.endswith(("  not on disk", " (above)")) for line in lines[1:])


def test_parents_are_looked_for_in_a_folder_too(awac, artifact, shelf):
    found = awac("lineage", artifact("result.json"), "--parents", shelf, "--json").json
    assert all(node["present"] for node in found["nodes"])
    assert Path(found["nodes"][1]["path"]) == shelf / "finetuned.ckpt"
    awac("lineage", "result.json", "--parents", "nowhere").failed(3, "`nowhere` does not exist", "--parents")


def test_a_parent_is_found_under_another_name_and_its_own_parents_by_their_hints(awac, artifact):
    artifact("finetuned.ckpt", "moved/f.ckpt")
    artifact("pretrained.ckpt", "moved/p.ckpt")
    artifact("toy.zarr", "moved/toy.zarr")
    artifact("wide.zarr", "moved/a.zarr")
    found = awac("lineage", "moved/f.ckpt", "--json").json["nodes"]
    places = {node["stage"]: node["path"] for node in found if node["present"]}
    assert places == {"finetune": "moved/f.ckpt", "pretrain": "moved/p.ckpt", "bc-rollout": "moved/toy.zarr"}


def test_another_artifact_where_the_parent_was_does_not_count(awac, artifact):
    artifact("finetuned.ckpt")
    artifact("wide.zarr", "toy.zarr")
    found = awac("lineage", "finetuned.ckpt", "--json").json["nodes"]
    assert [node["stage"] for node in found if node["present"]] == ["finetune"]


def test_dot_has_every_node_and_edge(on_the_shelf, artifact, tmp_path):
    graph = on_the_shelf("lineage", "result.json", "--json").json
    text = on_the_shelf("lineage", "result.json", "--dot").out
    assert text.startswith("digraph lineage {\n")
    assert text.endswith("}\n")
    drawn = re.findall(r'^  "(\w+)" -> "(\w+)" \[label="([\w-]+)"\];$', text, re.MULTILINE)
    assert drawn == [(edge["from"], edge["to"], edge["role"]) for edge in graph["edges"]]
    boxes = re.findall(r'^  "(\w+)" \[label="([^"]+)"(, style=dashed)?\];$', text, re.MULTILINE)
    assert [(name, style) for name, _, style in boxes] == [(node["id"], "") for node in graph["nodes"]]
    assert boxes[0][1] == rf"eval\nepisodes 3\nactions mean\n{graph['id'][:12]}"
    alone = on_the_shelf("lineage", tmp_path / artifact("result.json"), "--dot").out
    assert alone.count("style=dashed") == len(graph["nodes"]) - 1


def test_an_expert_is_a_node_without_a_stage(awac):
    expert = awac("lineage", DEMOS, "--json").json["nodes"][1]
    assert (expert["kind"], expert["stage"], expert["seed"], expert["present"]) == (
        "expert",
        None,
        None,
        True,
    )
    assert re.search(r"\n└─ expert: expert \w{12}  built in\n$", awac("lineage", DEMOS).out)


def test_an_input_of_unknown_origin_is_a_node_too(awac, artifact):
    rewrite(artifact("toy-bc.ckpt"), ancestors={})
    assert re.search(r"\n└─ data: unknown \w{12}  of unknown origin\n$", awac("lineage", "toy-bc.ckpt").out)
    assert awac("lineage", "toy-bc.ckpt", "--json").json["nodes"][1]["kind"] == "unknown"
    assert "unknown" in awac("lineage", "toy-bc.ckpt", "--dot").out
    artifact("demos.zarr")
    assert "unknown" not in awac("lineage", "toy-bc.ckpt").out  # its own manifest knows more


def test_an_ancestor_that_nothing_names_is_drawn_below_the_artifact(awac, artifact):
    manifest = read_manifest(artifact("toy-bc.ckpt"))
    (known,) = manifest.ancestors.values()
    rewrite(Path("toy-bc.ckpt"), ancestors=manifest.ancestors | {"ff" * 32: known})
    assert re.search(r"\n└─ ancestor: dataset f{12}  collect-demos", awac("lineage", "toy-bc.ckpt").out)


def test_a_circle_is_refused(awac, artifact):
    manifest = read_manifest(artifact("toy-bc.ckpt"))
    own = InputRef(role="data", id=manifest.id, key="0" * 64)
    ancestors = {
        identity: Ancestor(kind=known.kind, recipe=known.recipe.model_copy(update={"inputs": (own,)}))
        for identity, known in manifest.ancestors.items()
    }
    rewrite(Path("toy-bc.ckpt"), ancestors=ancestors)
    awac("lineage", "toy-bc.ckpt").failed(3, "lineage of `toy-bc.ckpt` is a circle", "nobody")


def test_a_forged_companion_does_not_send_the_commands_round_in_circles(awac, artifact):
    manifest = read_manifest(artifact("finetuned.ckpt"))
    ancestors = dict(manifest.ancestors)
    (online,) = [name for name, known in ancestors.items() if known.recipe.stage == "finetune-online"]
    recipe = ancestors[online].recipe
    inputs = tuple(ref.model_copy(update={"id": manifest.id}) for ref in recipe.inputs)
    forged = recipe.model_copy(update={"inputs": inputs})
    assert forged.key == recipe.key
    ancestors[online] = Ancestor(kind="dataset", recipe=forged)
    rewrite(Path("finetuned.ckpt"), ancestors=ancestors)
    assert "\n└─ ancestor: dataset " in awac("lineage", "finetuned.ckpt").out
    assert len(awac("rebuild", "finetuned.ckpt").out.splitlines()) == 5


def test_a_thousand_rounds_are_drawn(awac, artifact):
    manifest = read_manifest(artifact("toy-bc.ckpt"))
    (known,) = manifest.ancestors.values()
    rounds = [f"{number:064x}" for number in range(1200)]
    refs = [InputRef(role="data", id=before, key="0" * 64) for before in rounds]
    ancestors = {
        identity: Ancestor(kind="dataset", recipe=known.recipe.model_copy(update={"inputs": inputs}))
        for identity, inputs in zip(rounds, [(), *((ref,) for ref in refs)], strict=False)
    }
    rewrite(
        Path("toy-bc.ckpt"),
        ancestors=ancestors,
        recipe=manifest.recipe.model_copy(update={"inputs": (refs[-1],)}),
    )
    assert awac("lineage", "toy-bc.ckpt").out.count("\n") == 1201
    assert len(awac("lineage", "toy-bc.ckpt", "--json").json["edges"]) == 1200


def test_a_path_from_stdin_and_two_forms_at_once(awac, artifact):
    artifact("demos.zarr")
    assert awac("lineage", "-", stdin=["demos.zarr\n"]).out.endswith("seed 0  at demos.zarr\n")
    awac("lineage", "demos.zarr", "--dot", "--json").failed(2, "--dot and --json", "one of them")
    awac("lineage", "nothing.zarr").failed(3, "`nothing.zarr` does not exist")


def test_the_lineage_is_read_without_torch_or_an_environment(shelf):
    program = (
        "import sys; from pathlib import Path; from awaccli.reports.lineage import lineage, tree_text;"
        "tree_text(lineage(Path('result.json'))); print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=shelf, capture_output=True, text=True, check=True
    )
    assert not {"torch", "gymnasium", "mujoco", "zarr", "h5py"} & set(found.stdout.split())
