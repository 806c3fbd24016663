"""What the doctor says of real demonstrations that people recorded."""

from pathlib import Path

import pytest

from awaccli.data.formats.registry import read_foreign
from awaccli.data.validate import validated
from awaccli.envs.registry import resolve_task
from awaccli.errors import DatasetError
from awaccli.stages.import_data import ImportSettings, import_data
from awaccli.stages.replay import replay

DOOR = Path(__file__).parents[3] / "shared/data/door-v0_demos.pickle"


@pytest.mark.skipif(not DOOR.is_file(), reason="needs ../shared/data")
def test_the_defects_of_the_human_door_demonstrations_are_found(tmp_path):
    settings = ImportSettings(task=resolve_task("door"))
    dataset = import_data(read_foreign(DOOR), settings, tmp_path / "door.zarr")
    found = validated(dataset.path)
    messages = {finding.code: finding.message for finding in reversed(found.findings)}
    assert found.ok
    assert messages.pop("import-loss")
    assert messages == {
        "end-reason-unknown": "25 of 25 episodes do not say why they ended",
        "episode-longer-than-horizon": "it has 299 steps, the task stops at 200",
        "action-clipped": (
            "5.6% of all entries were beyond the box, and are stored as executed: at its bound"
        ),
        "success-rare": ("6 of 25 episodes end in success, 7 reach it at some step, 6 within the first 200"),
        "seed-missing": "25 of 25 episodes have no seed",
    }
    assert found.codes["episode-longer-than-horizon"] == 25
    with pytest.raises(DatasetError, match="neither start states nor seeds"):
        replay(dataset)
