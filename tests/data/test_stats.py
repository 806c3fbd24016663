"""Statistics of a dataset, against plain NumPy on the whole of it."""

from dataclasses import replace

import numpy as np
import pytest

from awaccli.data import stats as module
from awaccli.data.convert import converted
from awaccli.data.evaluation import wilson
from awaccli.data.stats import dataset_stats


@pytest.fixture(scope="module")
def data(recorded, make_episode):
    made = [
        make_episode(np.random.default_rng(i), steps=40 + i, rich=True, source=int(i > 3)) for i in range(6)
    ]
    spoiled = made[0].infos["distance"].copy()
    spoiled[[3, 7]] = np.nan, np.inf
    made[0] = replace(made[0], infos=made[0].infos | {"distance": spoiled})
    return recorded("x.zarr", [replace(episode, actions=at_bounds(episode.actions)) for episode in made])


def at_bounds(actions):
    actions = actions.copy()
    actions[::4, 0], actions[1::4, 0] = 4.0, -2.0
    return actions


def by_name(found):
    return {one.name: one for field in found.fields for one in field.dimensions}


def test_every_number_of_every_field(data):
    found = by_name(dataset_stats(data))
    plain = {f"actions[{i}]": data.column("steps/actions")[:, i] for i in range(2)}
    plain |= {
        name: data.column("steps/observations")[:, i]
        for i, name in enumerate(["position[0]", "position[1]", "position[2]", "goal[0]", "goal[1]"])
    }
    plain |= {f"infos/contact[{i}]": data.column("steps/infos/contact")[:, i] for i in range(3)}
    plain |= {f"sim/qpos[{i}]": data.column("steps/sim/qpos")[:, i] for i in range(4)}
    plain |= {"rewards": data.column("steps/rewards"), "success": data.column("steps/success")}
    assert found.keys() == plain.keys() | {"infos/distance"}
    for name, column in plain.items():
        one, values = found[name], column.astype(np.float64)
        expected = (
            values.mean(),
            values.std(),
            values.min(),
            values.max(),
            *np.quantile(values, (0.01, 0.99)),
        )
        np.testing.assert_allclose(
            (one.mean, one.std, one.min, one.max, one.p01, one.p99), expected, rtol=1e-12
        )
        assert one.not_finite == 0


def test_what_is_not_finite_is_counted_and_left_out(data):
    values = data.column("steps/infos/distance")
    one, finite = by_name(dataset_stats(data))["infos/distance"], values[np.isfinite(values)]
    assert one.not_finite == 2
    np.testing.assert_allclose((one.mean, one.std, one.max), (finite.mean(), finite.std(), finite.max()))


def test_blocks_do_not_matter(data, monkeypatch):
    whole = by_name(dataset_stats(data))
    monkeypatch.setattr(module, "chunk_rows", lambda row_bytes: 7)
    for name, one in by_name(dataset_stats(data)).items():
        expected = whole[name].model_dump(exclude={"name"})
        assert one.model_dump(exclude={"name"}) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_quantiles_of_a_large_dataset_are_those_of_a_sample(data, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_ROWS", 100)
    found = dataset_stats(data)
    assert found.sampled_rows == 100 < data.n_steps
    one, values = by_name(found)["position[0]"], data.column("steps/observations")[:, 0]
    assert one.min == values.min() <= one.p01 <= np.quantile(values, 0.1)
    assert np.quantile(values, 0.9) <= one.p99 <= one.max == values.max()
    assert found == dataset_stats(data)


def test_saturation_is_the_share_of_steps_at_a_bound(data):
    actions = data.column("steps/actions")
    share = np.isin(actions[:, 0], [4.0, -2.0]).mean()
    assert 0.4 < share < 0.6
    assert dataset_stats(data).saturation == pytest.approx((share, 0.0))  # the second has no bounds


def test_sources_apart(data):
    first, second = dataset_stats(data).sources
    episodes = list(data)
    assert (first.source, first.kind, first.episodes, first.steps) == ("a", "human", 4, 40 + 41 + 42 + 43)
    assert second.lengths.model_dump() == {"mean": 44.5, "std": 0.5, "min": 44.0, "max": 45.0}
    assert first.returns.mean == pytest.approx(np.mean([episode.return_ for episode in episodes[:4]]))
    assert first.success.final == wilson(sum(bool(e.success[-1]) for e in episodes[:4]), 4)
    assert second.success.any == wilson(sum(bool(e.success.any()) for e in episodes[4:]), 2)


def test_the_container_does_not_matter(data, tmp_path):
    assert dataset_stats(converted(data).write(tmp_path / "x.h5")) == dataset_stats(data)
