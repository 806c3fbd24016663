import pytest

from awaccli.artifacts.manifest import Clock, Manifest, Recipe
from awaccli.config.settings import Execution


@pytest.fixture
def recipe():
    return Recipe(stage="pretrain", version=1, settings={"lam": 0.5}, seed=0)


@pytest.fixture
def manifest(recipe, tmp_path):
    return Manifest(
        kind="checkpoint",
        id="ab" * 32,
        task=None,
        content={"updates": 3},
        files=(),
        recipe=recipe,
        ancestors={},
        run=Clock(Execution()).run(tmp_path / "x.ckpt", {}),
    )
