from pathlib import Path

import pytest

from awaccli.envs.registry import resolve_task


@pytest.fixture
def toy(monkeypatch):
    """Make the task of a toy environment, as a user's package would provide it."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "toys")

    def make(env_id="Toy-v0", **options):
        return resolve_task(f"toy_tasks:{env_id}", success_key="reached", **options)

    return make
