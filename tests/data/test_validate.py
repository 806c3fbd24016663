"""Every check of `awac data validate` finds the defect that it is for, where it is, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from awaccli.artifacts.commit import claimed, payload_of
from awaccli.artifacts.manifest import MANIFEST, Manifest
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.schema import Credits, Header, Import, Source, dataset_id
from awaccli.data.stores import CHUNK_BYTES, open_store
from awaccli.data.stores.zarr_store import ZarrStore
from awaccli.data.validate import validated, validation_text
from awaccli.data.validation import episodes, jumps, values
from awaccli.data.validation.findings import CODES, MOST_LISTED, Findings
from awaccli.data.validation.recordings import recordings
from awaccli.data.writer import Writer, commit_dataset
from awaccli.episode import EndReason
from awaccli.errors import InputError, InterruptedRunError
from awaccli.protocols import SILENT

EPISODES, STEPS = 12, 50
PAGE = Path(__file__).parents[2] / "docs" / "validate.md"


class Clinic:
    """Makes datasets, and spoils them as a careless recorder or a stranger would."""

    def __init__(self, folder, sound, task, make_episode, recipe, clock):
        self.folder, self._sound, self.task = folder, sound, task
        self._make_episode, self._recipe, self._clock = make_episode, recipe, clock
        self.header = Header(
            task=task,
            sources=(Source(kind="human", name="ann"),),
            credits=(Credits(authors="ann", licence="CC0"),),
        )

    def episode(self, number, *, steps=STEPS, **changes):
        """Return an episode without a defect: everything moves a little, the goal is met at the end."""
        rng = np.random.default_rng(number)
        success = np.arange(steps) >= steps - 3
        fields = {
            "observations": rng.normal(size=(steps + 1, 5)).cumsum(axis=0).astype(np.float32),
            "actions": rng.uniform(-1.9, 3.9, size=(steps, 2)).astype(np.float32),
            "rewards": success.astype(np.float32) - 1,
            "success": success,
            "terminated": False,
            "truncated": True,
            "end_reason": EndReason.TIME_LIMIT,
            "seed": number,
            "source": 0,
            "clipped": 0,
        }
        return self._make_episode(rng, steps=steps, **fields | changes)

    def write(self, *changed, name="patient.zarr", rich=False, chunk_bytes=CHUNK_BYTES, **header):
        """Write twelve episodes, the first ones replaced by those given."""
        sound = [self.episode(number) for number in range(len(changed), EPISODES)]
        episodes = [*changed, *sound]
        if rich:
            episodes = [replace(e, infos={"force": np.ones(len(e))}) if not e.infos else e for e in episodes]
        path = self.folder / name
        with claimed(path, self._recipe) as target:
            described = self.header.model_copy(update=header)
            with Writer(target.payload, described, chunk_bytes=chunk_bytes) as writer:
                for episode in episodes:
                    writer.append(episode)
            commit_dataset(target, writer, recipe=self._recipe, parents=(), clock=self._clock)
        return path

    def sound(self):
        """Return a copy of a dataset without a defect."""
        original = self._sound / "patient.zarr"
        if not original.exists():
            shutil.copytree(self.write(), original)
            shutil.rmtree(self.folder / "patient.zarr")
        return shutil.copytree(original, self.folder / "patient.zarr")

    def episodes(self):
        return [self.episode(number) for number in range(EPISODES)]

    def edit(self, name, where, value, also=None):
        """Change an array of a sound dataset, and make hashes and manifest right again."""
        path = edited(self.sound(), name, where, value)
        for more, change in (also or {}).items():
            edited(path, more, *change)
        return self.rehash(path)

    def rehash(self, path):
        dataset, store = opened(path)
        if dataset.episodes.length.sum() == dataset.n_steps:
            hashes = [recording.sha256() for recording in recordings(dataset, store, Findings())]
            zarr.open_array(path, path="episodes/sha256", mode="r+")[:] = [list(h) for h in hashes]
        else:
            hashes = [row.tobytes() for row in dataset.column("episodes/sha256")]
        return self.reforge(path, id=dataset_id(dataset.header, hashes))

    def reforge(self, path, **changes):
        manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), origin="x")
        (path / MANIFEST).write_bytes(manifest.model_copy(update={"files": ()} | changes).to_bytes())
        return path

    def edit_header(self, change):
        path = self.sound()
        file = path / "zarr.json"
        root = json.loads(file.read_bytes())
        change(root["attributes"]["awac"])
        file.write_text(json.dumps(root))
        return self.rehash(path)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tmp_path_factory.mktemp("sound")


@pytest.fixture
def clinic(tmp_path, shelf, make_task, make_episode, recipe, clock):
    return Clinic(tmp_path, shelf, make_task(), make_episode, recipe, clock)


def opened(path):
    store = open_store(path)
    return Dataset(path, store, Header.from_json(store.attributes(), origin="x"), None), store


def edited(path, name, where, value):
    zarr.open_array(path, path=name, mode="r+")[where] = value
    return path


def changed(array, where, value):
    array = np.array(array)
    array[where] = value
    return array


def places(found):
    return places_of(found.findings)


def places_of(findings):
    return [(f.code, f.field, f.episode, f.step) for f in findings]


def test_a_sound_dataset_has_no_findings(clinic):
    for name in ("sound.zarr", "sound.h5"):
        found = validated(clinic.write(name=name))
        assert places(found) == []
        assert (found.ok, found.n_episodes, found.n_steps) == (True, EPISODES, EPISODES * STEPS)
        assert set(found.counts.values()) == {0}


def flip(file, position=-3):
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def flipped_chunk(c):
    path = c.sound()
    flip(path / "steps/actions/c/0/0")
    return c.reforge(path)


def without_field(c):
    path = c.sound()
    shutil.rmtree(path / "steps/success")
    return c.reforge(path)


def touched_up(c):
    """Change bytes that mean nothing."""
    path = c.sound()
    for name in ("steps/rewards/zarr.json", "zarr.json"):
        (path / name).write_text((path / name).read_text() + "\n")
    return path


def damaged_manifest(c):
    path = c.sound()
    flip(path / MANIFEST)
    return path


def wrong_hash(c):
    path = edited(c.sound(), "episodes/sha256", 5, 0)
    return c.reforge(path, id=opened(path)[0].id)


def unfinished(c):
    part = c.folder / "patient.zarr.part"
    part.mkdir()
    with Writer(payload_of(part), c.header) as writer:
        for number in range(EPISODES):
            writer.append(c.episode(number))
    return part


def damaged_header(c):
    path = c.sound()
    (path / "zarr.json").write_text("{")
    return path


def jumping(c, number):
    observations = c.episode(number).observations
    return changed(observations, (slice(20, None), 3), observations[20:, 3] + 300)


def still(c, number, steps):
    """Stand still, from step 7 on."""
    observations = c.episode(number).observations
    return changed(observations, slice(8, 8 + steps), observations[7])


def clipped(c):
    """Clip just 5 % of the entries, in the later half of the episodes."""
    counts = np.where(np.arange(EPISODES) < 6, 0, 10)
    path = c.edit_header(lambda awac: awac.update(clipped=60))
    for episode in range(6, EPISODES):
        edited(path, "steps/actions", (slice(episode * STEPS, episode * STEPS + 10), 0), -2)
    return c.rehash(edited(path, "episodes/clipped", slice(None), counts))


def failing(c):
    """Let 7 of 12 episodes fail."""
    path, end = c.sound(), 7 * STEPS
    for name, value in (("steps/rewards", -1), ("steps/success", False)):
        edited(path, name, slice(end), value)
    for name, value in (("return", -STEPS), ("success", False), ("success_steps", 0)):
        edited(path, f"episodes/{name}", slice(7), value)
    return c.rehash(path)


X, EPISODE_3 = "steps/observations", 3 * STEPS
SICK = [
    (lambda c: c.episode(0), []),
    (
        lambda c: c.episode(1, end_reason=EndReason.TERMINATED),
        [("end-reason-contradicts-flags", "episodes/end_reason", STEPS - 1)],
    ),
    (
        lambda c: c.episode(2, terminated=True, truncated=False),
        [("end-reason-contradicts-flags", "episodes/end_reason", STEPS - 1)],
    ),
    (
        lambda c: c.episode(3, end_reason=EndReason.UNKNOWN),
        [("end-reason-unknown", "episodes/end_reason", None)],
    ),
    (lambda c: c.episode(4, steps=4), [("length-outlier", "episodes/length", None)]),
    (
        lambda c: c.episode(5, infos={"force": changed(np.ones(STEPS), slice(9, 12), np.inf)}),
        [("not-finite-extra", "steps/infos/force", 9)],
    ),
    (lambda c: c.episode(6, observations=jumping(c, 6)), [("jumping-dimension", X, 20)]),
    (lambda c: c.episode(7, observations=still(c, 7, 10)), [("frozen-observation", X, 7)]),
    (lambda c: c.episode(8, observations=still(c, 8, 9)), []),
    (
        lambda c: c.episode(9, actions=changed(c.episode(9).actions, (5, 0), -2.01)),
        [("action-outside-box", "steps/actions", 5)],
    ),
    (
        lambda c: c.episode(10, rewards=changed(c.episode(10).rewards, 4, -0.5)),
        [("reward-out-of-range", "steps/rewards", 4)],
    ),
    (
        lambda c: c.episode(11, rewards=changed(c.episode(11).rewards, 4, 0)),
        [("success-contradicts-reward", "steps/success", 4)],
    ),
    (
        lambda c: c.episode(12, rewards=changed(c.episode(12).rewards, STEPS - 2, -1)),
        [("success-contradicts-reward", "steps/success", STEPS - 2)],
    ),
    (lambda c: c.episode(0), [("duplicate-episode", "episodes/sha256", None)]),
    (lambda c: c.episode(14, seed=0), [("same-seed", "episodes/seed", None)]),
    (lambda c: c.episode(15, seed=None), [("seed-missing", "episodes/has_seed", None)]),
]
"""Episodes that the writer takes, and what must be found in each: code, field, step."""


def test_every_sick_episode_has_its_findings_and_no_other(clinic):
    path = clinic.write(*(episode(clinic) for episode, _ in SICK), rich=True)
    found = validated(path)
    by_episode = {index: [] for index in range(len(SICK))}
    for finding in found.findings:
        by_episode[finding.episode].append((finding.code, finding.field, finding.step))
    assert by_episode == {index: expected for index, (_, expected) in enumerate(SICK)}
    assert {finding.severity for finding in found.findings} == {"error", "warning", "note"}
    assert all(finding.severity == CODES[finding.code] for finding in found.findings)
    assert found.codes["success-contradicts-reward"] == 2


UNKEMPT = {
    "split-out-of-range": ["the split `test` names episode 12 of 12"],
    "source-unused": ["no episode is by source 1, `b`"],
    "source-unnamed": ["nobody knows who acted in 12 episodes: source 0 has no name"],
    "credits-missing": ["no licence is named for the work of ann"],
    "import-loss": ["door.pickle: one thing", "door.pickle: and another"],
    "version-differs": [
        f"recorded with numpy 0.1, installed is {np.__version__}",
        "recorded with no-such-thing 1, which is not installed",
    ],
}
"""What must be found in one header: messages by code."""


def test_what_a_header_lacks_is_found(clinic):
    path = clinic.write(
        name="unkempt.zarr",
        task=clinic.task.model_copy(update={"versions": {"numpy": "0.1", "no-such-thing": "1"}}),
        sources=(Source(kind="imported", name="unknown"), Source(kind="policy", name="b")),
        credits=(Credits(authors="ann", licence="unknown"),),
        imports=(Import(format="dapg", file="door.pickle", sha256="z", losses=("one thing", "and another")),),
        splits={"train": (0, 1), "test": (11, 12)},
    )
    found = validated(path)
    assert {
        code: [finding.message for finding in found.findings if finding.code == code] for code in found.codes
    } == UNKEMPT
    assert places(validated(clinic.edit_header(lambda awac: awac.update(credits=[])))) == [
        ("credits-missing", None, None, None)
    ]


DEFECTS = {
    "unreadable": (damaged_header, [(None, None, None)]),
    "schema": (without_field, [(None, None, None)]),
    "index": (lambda c: c.edit("episodes/start", 4, 7), [("episodes/start", 4, None)]),
    "damaged-data": (flipped_chunk, [("steps/actions", episode, None) for episode in range(EPISODES)]),
    "file-changed": (touched_up, [(None, None, None)] * 2),
    "manifest-damaged": (damaged_manifest, [(None, None, None)]),
    "id-mismatch": (lambda c: c.reforge(c.sound(), id="0" * 64), [(None, None, None)]),
    "hash-mismatch": (wrong_hash, [("episodes/sha256", 5, None)]),
    "statistics-mismatch": (
        lambda c: c.edit_header(lambda awac: awac.update(clipped=3)),
        [("episodes/clipped", None, None)],
    ),
    "unfinished": (unfinished, [(None, None, None)]),
    "flag-inside-episode": (
        lambda c: c.edit("steps/terminations", EPISODE_3 + 20, value=True),
        [("steps/terminations", 3, 20)],
    ),
    "no-end-flag": (
        lambda c: c.edit("steps/truncations", EPISODE_3 + STEPS - 1, value=False),
        [(None, 3, STEPS - 1)],
    ),
    "end-reason-invalid": (lambda c: c.edit("episodes/end_reason", 2, 9), [("episodes/end_reason", 2, None)]),
    "derived-mismatch": (lambda c: c.edit("episodes/return", 6, -46.5), [("episodes/return", 6, None)]),
    "source-out-of-range": (lambda c: c.edit("episodes/source", 7, 2), [("episodes/source", 7, None)]),
    "not-finite": (
        lambda c: c.edit("steps/actions", (EPISODE_3 + 11, 1), np.nan),
        [("steps/actions", 3, 11)],
    ),
    "episode-longer-than-horizon": (
        lambda c: c.edit_header(lambda awac: awac["task"]["spec"].update(horizon=STEPS - 1)),
        [("episodes/length", episode, STEPS - 1) for episode in range(EPISODES)],
    ),
    "final-observation-repeated": (
        lambda c: c.edit(
            "final/observations", slice(None), np.stack([e.observations[-2] for e in c.episodes()])
        ),
        [("final/observations", 0, STEPS)],
    ),
    "constant-action": (
        lambda c: c.edit("steps/actions", (slice(None), 1), 0.5),
        [("steps/actions", None, None)],
    ),
    "constant-observation": (
        lambda c: c.edit(X, (slice(None), 2), 7, also={"final/observations": ((slice(None), 2), 7)}),
        [(X, None, None)],
    ),
    "action-saturated": (
        lambda c: c.edit("steps/actions", (slice(EPISODES * STEPS // 2 + 1), 0), 4.0),
        [("steps/actions", None, None)],
    ),
    "action-clipped": (clipped, [("episodes/clipped", 6, None)]),
    "success-rare": (failing, [("episodes/success", None, None)]),
}
"""How other defects are planted in a dataset, and where they must be found: field, episode, step."""


@pytest.mark.parametrize("code", DEFECTS)
def test_a_planted_defect_is_found_and_nothing_else(clinic, code):
    plant, expected = DEFECTS[code]
    path = plant(clinic)
    found = validated(path)
    assert places(found) == [(code, *place) for place in expected]
    assert {finding.severity for finding in found.findings} == {CODES[code]}
    assert found.codes == {code: len(expected)}
    assert found.ok == (CODES[code] != "error")
    assert not found.ok or opens(path)


def opens(path):
    """Whatever keeps a dataset from being opened and read must be an error, wherever these checks move."""
    try:
        dataset = open_dataset(path, unfinished=True)
        for name in dataset.header.fields:
            dataset.column(name)
    except InputError:
        return False
    return True


def test_every_code_is_planted_somewhere():
    in_episodes = {code for _, expected in SICK for code, *_ in expected}
    assert DEFECTS.keys() | UNKEMPT.keys() | in_episodes | {"leak", "shared-seed"} == CODES.keys()


def test_two_datasets_that_share_episodes_or_seeds(clinic):
    train = clinic.sound()
    test = clinic.write(
        *(clinic.episode(number + 100) for number in range(EPISODES - 3)),
        clinic.episode(40, seed=5),
        name="test.h5",
    )
    found = validated(test, against=train)
    assert places(found) == [
        ("leak", "episodes/sha256", 10, None),
        ("leak", "episodes/sha256", 11, None),
        ("shared-seed", "episodes/seed", 9, None),
    ]
    assert "episode 10 of" in found.findings[0].message
    assert not found.ok
    alone = clinic.write(*(clinic.episode(number + 100) for number in range(EPISODES)), name="alone.zarr")
    assert places(validated(alone, against=train)) == []
    with pytest.raises(InputError, match="does not exist"):
        validated(train, against=clinic.folder / "nothing.zarr")


@pytest.mark.parametrize(
    ("field", "where", "value", "place"),
    [
        ("steps/observations", (EPISODE_3 + 4, 0), np.inf, ("steps/observations", 3, 4)),
        ("final/observations", (3, 0), np.nan, ("final/observations", 3, STEPS)),
        ("steps/rewards", EPISODE_3 + 9, -np.inf, ("steps/rewards", 3, 9)),
    ],
)
def test_numbers_that_are_not_finite_are_named_in_every_field_for_training(
    clinic, field, where, value, place
):
    found = validated(clinic.edit(field, where, value))
    assert ("not-finite", *place) in places(found)
    assert set(found.codes) <= {"not-finite"}


def test_all_that_is_not_finite_is_counted(clinic):
    path = clinic.sound()
    for step, dimension in ((4, 0), (4, 3), (30, 2)):
        edited(path, X, (EPISODE_3 + step, dimension), np.nan)
    edited(path, X, (5 * STEPS, 1), np.nan)
    found = validated(clinic.rehash(path))
    assert places(found) == [("not-finite", X, 3, 4), ("not-finite", X, 5, 0)]
    assert [finding.message.split()[0] for finding in found.findings] == ["3", "1"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("success", False), ("success_steps", 4), ("clipped", 1), ("clipped", -1)],
)
def test_derived_columns_that_do_not_follow_from_the_steps(clinic, field, value):
    path = clinic.edit(f"episodes/{field}", 6, value)
    found = validated(path)
    assert ("derived-mismatch", f"episodes/{field}", 6, None) in places(found)
    assert found.codes.keys() <= {"derived-mismatch", "statistics-mismatch"}


def test_the_counts_of_the_manifest(clinic):
    path = clinic.reforge(clinic.sound(), content={"n_episodes": 12, "n_steps": 1})
    assert places(validated(path)) == [("statistics-mismatch", None, None, None)]


def test_a_split_names_an_episode_once(clinic):
    path = clinic.edit_header(lambda awac: awac.update(splits={"a": [3, 3], "b": [3, 4], "c": [4, 5]}))
    [finding] = validated(path).findings
    assert (finding.code, finding.message) == ("split-out-of-range", "the split `a` names an episode twice")


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [("episodes/length", 3, 49), ("episodes/length", 3, 0), ("episodes/length", 11, 51)],
)
def test_an_index_that_does_not_cover_the_steps(clinic, name, where, value):
    found = validated(clinic.edit(name, where, value))
    assert list(found.codes) == ["index"]
    assert found.findings[0].field == "episodes/start"


def test_damage_is_found_where_it_is_and_the_rest_is_looked_at(clinic):
    path = clinic.edit("episodes/has_seed", 2, value=False)
    (path / "steps/actions/c/0/0").unlink()
    found = validated(path)
    assert [f.episode for f in found.findings if f.code == "damaged-data"] == list(range(EPISODES))
    assert found.codes == {"damaged-data": EPISODES, "seed-missing": 1}


def test_damage_in_one_chunk_leaves_the_episodes_of_others_alone(clinic):
    path = clinic.write(chunk_bytes=4 * 130)
    flip(path / "steps/rewards/c/1")
    found = validated(clinic.reforge(path))
    assert [(f.code, f.field, f.episode) for f in found.findings] == [
        ("damaged-data", "steps/rewards", episode) for episode in (2, 3, 4, 5)
    ]


def test_damage_in_the_table_of_episodes(clinic):
    path = clinic.sound()
    flip(path / "episodes/length/c/0")
    found = validated(clinic.reforge(path))
    assert list(found.codes) == ["damaged-data"]
    assert "episodes/length" in found.findings[0].message


def test_a_damaged_file_is_a_finding_and_a_foreign_one_is_refused(clinic):
    path = clinic.write(name="patient.h5")
    flip(path, 5000)
    found = validated(path)
    assert (list(found.codes), found.n_episodes, found.ok) == (["unreadable"], 0, False)
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="not a dataset of awac"):
        validated(path)
    with pytest.raises(InputError, match="does not exist"):
        validated(clinic.folder / "nothing.zarr")
    zarr.open_group(clinic.folder / "foreign.zarr", mode="w", zarr_format=3)
    with pytest.raises(InputError, match="no dataset of awac"):
        validated(clinic.folder / "foreign.zarr")


def test_a_switch_that_flips_once_in_a_while_does_not_jump(clinic):
    steps = 101  # of 100 differences each, one is not zero

    def switched(number):
        episode = clinic.episode(number, steps=steps - 1)
        flips = np.where(np.arange(steps) < 10 + number, -1, 1)
        return replace(episode, observations=changed(episode.observations, (slice(None), 4), flips))

    assert places(validated(clinic.write(*map(switched, range(EPISODES))))) == []


@pytest.fixture
def sick(clinic):
    """Return a function that writes a dataset with several defects in several episodes."""

    def write(name):
        return clinic.write(
            clinic.episode(0, observations=jumping(clinic, 0)),
            clinic.episode(1, observations=still(clinic, 1, 20), seed=0),
            clinic.episode(2, steps=210),
            clinic.episode(1, observations=still(clinic, 1, 20), seed=0),
            clinic.episode(4, rewards=changed(clinic.episode(4).rewards, 4, 0)),
            name=name,
        )

    return write


def test_container_window_and_sample_make_no_difference(sick, monkeypatch):
    path = sick("a.zarr")
    findings = [validated(path).findings, validated(sick("a.h5")).findings]
    assert len({finding.code for finding in findings[0]}) == 7
    sizes = []
    read = ZarrStore.read

    def watched(self, name, start, stop):
        rows = read(self, name, start, stop)
        sizes.append(rows.nbytes if name.startswith("steps/obs") else 0)
        return rows

    monkeypatch.setattr(ZarrStore, "read", watched)
    monkeypatch.setattr("awaccli.data.dataset.WINDOW_BYTES", 4000)
    monkeypatch.setattr("awaccli.data.validation.jumps._MOST_SAMPLES", 700)
    findings.append(validated(path).findings)
    assert findings[0] == findings[1]
    assert places_of(findings[0]) == places_of(findings[2])
    assert 0 < max(sizes) <= 210 * 5 * 4, "one episode at a time, the longest has 210 steps"


def test_the_first_findings_of_a_code_are_listed_and_all_counted(clinic, monkeypatch):
    monkeypatch.setattr("awaccli.data.validation.findings.MOST_LISTED", 5)
    found = validated(clinic.edit("episodes/return", slice(None), 5.0))
    assert found.codes == {"derived-mismatch": EPISODES}
    assert found.counts["error"] == EPISODES
    assert [finding.episode for finding in found.findings] == [0, 1, 2, 3, 4]
    assert MOST_LISTED == 1000, "as the page says"


def test_strict_makes_warnings_count(clinic):
    warned = clinic.edit("episodes/end_reason", 3, EndReason.UNKNOWN)
    assert validated(warned).ok
    assert not validated(warned, strict=True).ok
    shutil.rmtree(warned)
    assert validated(clinic.edit("episodes/has_seed", 3, value=False), strict=True).ok


def test_the_text_has_a_line_for_each_code_and_the_verdict(sick):
    lines = validation_text(validated(sick("a.zarr"))).splitlines()
    assert [line.split()[:3] for line in lines[:-1]] == [
        ["error", "success-contradicts-reward", "1"],
        ["warning", "episode-longer-than-horizon", "1"],
        ["warning", "jumping-dimension", "1"],
        ["warning", "frozen-observation", "2"],
        ["warning", "duplicate-episode", "1"],
        ["note", "length-outlier", "1"],
        ["note", "same-seed", "1"],
    ]
    assert "steps/observations, episode 1, step 7: nothing changes for 20 steps" in lines[3]
    assert lines[-1].endswith("a.zarr (12 episodes, 760 steps): NOT ok: 1 error, 5 warnings, 2 notes")


def test_a_signal_stops_it(clinic):
    class Interrupted(type(SILENT)):
        def interrupted(self):
            return 2

    with pytest.raises(InterruptedRunError, match="stopped after 1 episodes"):
        validated(clinic.sound(), report=Interrupted())


def test_every_code_is_explained_with_its_severity_and_no_other():
    explained = re.findall(r"^### `([a-z-]+)` \((error|warning|note)\)$", PAGE.read_text(), re.MULTILINE)
    assert dict(explained) == dict(CODES)
    assert len(explained) == len(CODES)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("length-outlier", f"more than {episodes.LENGTH_DEVIATIONS:g} robust standard deviations"),
        ("length-outlier", f"fewer than {episodes.FEWEST_EPISODES} others"),
        ("constant-action", f"at least {values.FEWEST_STEPS} steps"),
        ("jumping-dimension", f"more than {jumps.JUMP_FACTOR:g} times"),
        ("jumping-dimension", f"on at least {jumps.FEWEST_STEPS} steps"),
        ("frozen-observation", f"at least {values.FROZEN_STEPS} steps"),
        ("action-saturated", "more than half"),
        ("action-clipped", f"At least {100 * values.CLIPPED_SHARE:g} %"),
        ("success-rare", "fewer than half"),
    ],
)
def test_the_page_names_the_thresholds(code, words):
    section = PAGE.read_text().split(f"### `{code}`")[1].split("\n#")[0]
    assert words in " ".join(section.split())
    assert (values.SATURATED_SHARE, values.RARE_SUCCESS) == (0.5, 0.5)
