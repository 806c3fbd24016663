import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest

from awaccli.artifacts.manifest import Recipe
from awaccli.artifacts.metrics import read_metrics
from awaccli.artifacts.tensors import read_arrays
from awaccli.config.settings import Execution
from awaccli.data.dataset import open_dataset
from awaccli.data.derive import derive
from awaccli.envs.registry import resolve_task
from awaccli.episode import EndReason
from awaccli.errors import DatasetError, InterruptedRunError, RunError, UsageError
from awaccli.stages import training
from awaccli.stages.finding import find_training_data
from awaccli.stages.finetune import finetune
from awaccli.stages.pretrain import pretrain
from awaccli.stages.training import SNAPSHOT


def test_same_seed_gives_the_same_ids_in_another_folder_and_container_and_with_workers(chain, reference):
    ids = reference.ids()
    workers = Execution(workers=2, save_every=7, log_every=3, eval_every=6, eval_episodes=2)
    assert chain("other", execution=workers, ending="h5").ids() == ids
    assert chain("seed").ids(seed=1) != ids


def test_every_stage_resumes_to_the_same_id_from_any_look_at_the_signal(chain, reference, stop_after, resume):
    ids = reference.ids()
    stopped = 0
    for looks in (0, 1, 2, 3, 5, 8, 13, 21, 30):
        interrupted = chain(f"stop-{looks}")
        for attempt in range(12):
            try:
                report = stop_after(looks if attempt == 0 else 17)
                found = interrupted.ids(existing=resume, report=report)
                break
            except InterruptedRunError:
                stopped += 1
        assert found == ids, f"stopped after {looks} looks"
        assert not list(interrupted.folder.glob("*.part"))
    assert stopped > 20


def test_the_time_of_a_run_goes_on_where_it_was_stopped(chain, stop_after, resume):
    one = chain("timed", execution=Execution(save_every=1, log_every=1))
    data = one.rollout(one.collect())
    with pytest.raises(InterruptedRunError):
        one.pretrain(data, report=stop_after(6))
    found = one.pretrain(data, existing=resume)
    times = [row["wall_s"] for row in read_metrics(found.path / "metrics.jsonl")]
    assert len(times) == found.content.updates
    assert times == sorted(times)
    assert found.manifest.run.wall_s >= times[-1]


def test_the_online_loop_counts_steps_and_updates_and_keeps_every_episode(reference):
    start = reference.pretrain(reference.rollout(reference.collect()))
    end = reference.finetune(start)
    online = open_dataset(reference.path("finetuned-online"))
    assert end.content.env_steps == online.n_steps == 25
    assert end.content.updates == 10 + math.floor(1.0 * 25)
    assert online.episode(-1).end_reason in (EndReason.STOPPED, EndReason.TERMINATED)
    assert [ref.role for ref in end.content.data] == ["offline", "online"]
    assert end.content.data[1].id == online.id
    assert {source.id for source in online.header.sources} == {start.id}


def test_fine_tuning_goes_on_from_a_fine_tuned_checkpoint_with_all_its_data(chain, reference):
    first = reference.finetune(reference.pretrain(reference.rollout(reference.collect())))
    data = find_training_data(first, [], data_dir=None, added=[])
    assert (len(data.offline), len(data.online)) == (1, 1)
    out = reference.path("again", "ckpt")
    second = finetune(first, data, reference.settings, out, execution=reference.execution)
    assert second.content.env_steps == 50
    assert len(second.content.data) == 3
    once, again = (open_dataset(reference.path(f"{name}-online", "zarr")) for name in ("finetuned", "again"))
    assert not set(once.episodes.seed.tolist()) & set(again.episodes.seed.tolist())


def test_failed_starts_are_tried_again_until_one_succeeds(reference):
    start = reference.pretrain(reference.rollout(reference.collect()))
    plan = reference.settings.finetune.model_copy(update={"env_steps": 120, "retry_failures": 1.0})
    settings = reference.settings.model_copy(update={"finetune": plan})
    data = find_training_data(start, [], data_dir=None, added=[])
    finetune(start, data, settings, reference.path("retried", "ckpt"), execution=reference.execution)
    episodes = list(open_dataset(reference.path("retried-online")))
    outcomes, begins = {}, {}
    for first in range(0, len(episodes), plan.episodes_per_round):
        this_round = episodes[first : first + plan.episodes_per_round]
        failed = {seed for seed, success in outcomes.items() if not success}
        retried = [episode for episode in this_round if episode.seed in outcomes]
        assert {episode.seed for episode in retried} <= failed
        assert len(retried) == min(len(failed), len(this_round))
        for episode in this_round:
            outcomes[episode.seed] = episode.success[-1]
            begin = begins.setdefault(episode.seed, episode.observations[0])
            assert np.array_equal(begin, episode.observations[0])
    assert len(outcomes) < len(episodes)


def test_a_growing_batch_round_needs_no_environment(reference):
    data = reference.rollout(reference.collect())
    start = reference.pretrain(data)
    plan = reference.settings.finetune.model_copy(update={"env_steps": 0, "updates": 6})
    settings = reference.settings.model_copy(update={"finetune": plan})
    found = find_training_data(start, [], data_dir=None, added=[reference.path("demos")])
    end = finetune(start, found, settings, reference.path("round", "ckpt"), execution=reference.execution)
    assert (end.content.updates, end.content.env_steps) == (16, 0)
    assert not reference.path("round-online").exists()


def test_bc_rollout_keeps_demonstrations_and_says_who_acted(reference):
    demos = reference.collect()
    data = reference.rollout(demos)
    assert data.n_episodes == 4 + 5
    assert np.array_equal(data.column("episodes/sha256")[:4], demos.column("episodes/sha256"))
    kinds = [(source.name, source.actions) for source in data.header.sources]
    assert kinds == [("random", "mean"), ("toy-bc.ckpt", "mean"), ("toy-bc.ckpt", "sample")]
    assert data.episodes.source.tolist() == [0] * 4 + [1, 2, 1, 2, 1]


def test_metrics_hold_an_evaluation_at_online_step_0_and_diagnostics(chain):
    observed = chain("observed", execution=Execution(log_every=5, eval_every=10, eval_episodes=2))
    observed.finetune(observed.pretrain(observed.rollout(observed.collect())))
    rows = read_metrics(observed.path("finetuned", "ckpt") / "metrics.jsonl")
    evaluations = [row for row in rows if "eval/success_final" in row]
    assert (evaluations[0]["env_steps"], evaluations[0]["updates"]) == (0, 10)
    diagnostics = next(row for row in rows if "weights/ess" in row)
    assert diagnostics["phase"] == "online"
    assert 0 < diagnostics["weights/ess"] <= 1.0001
    assert {"q/mean", "policy/std_mean", "batch/offline_share", "advantage/std"} <= diagnostics.keys()


def test_a_run_stopped_before_its_first_round_logs_its_first_evaluation_once(chain, stop_after, resume):
    observed = chain("observed", execution=Execution(log_every=5, eval_every=50, eval_episodes=2))
    start = observed.pretrain(observed.rollout(observed.collect()))
    with pytest.raises(InterruptedRunError):
        observed.finetune(start, report=stop_after(3))
    observed.finetune(start, existing=resume)
    rows = read_metrics(observed.path("finetuned", "ckpt") / "metrics.jsonl")
    assert [row["env_steps"] for row in rows if "eval/episodes" in row] == [0]


@pytest.fixture
def unstable(reference):
    """Return settings under which the critics of the toy explode within a few updates."""
    fast = reference.settings.awac.optimiser.model_copy(update={"critic_lr": 10.0})
    awac = reference.settings.awac.model_copy(update={"optimiser": fast, "clamp_target": False})
    longer = reference.settings.pretrain.model_copy(update={"updates": 400})
    return reference.settings.model_copy(update={"awac": awac, "pretrain": longer})


def test_values_that_explode_stop_the_run_name_the_update_and_leave_the_last_good_state(
    reference, unstable, tmp_path
):
    data = reference.rollout(reference.collect())
    with pytest.raises(RunError, match=r"update \d+: (q/largest|loss/critic) is .*, beyond \d+") as caught:
        pretrain([data], unstable, tmp_path / "x.ckpt", execution=Execution(log_every=50, save_every=1))
    first = int(re.search(r"update (\d+):", str(caught.value))[1])
    assert f"the state of update {first - 1} is kept" in caught.value.hint
    _, facts = read_arrays(tmp_path / "x.ckpt.part" / SNAPSHOT)
    assert facts["updates"] == first - 1
    # Looked at rarely, the very same update is named.
    with pytest.raises(RunError, match=rf"update {first}:") as caught:
        pretrain([data], unstable, tmp_path / "y.ckpt", execution=Execution(log_every=400))
    assert "nothing was saved yet" in caught.value.hint
    assert not (tmp_path / "y.ckpt").exists()


def test_weights_that_are_not_finite_never_become_a_checkpoint(reference, tmp_path):
    data = reference.rollout(reference.collect())
    fast = reference.settings.bc.optimiser.model_copy(update={"policy_lr": 1e38})
    bc = reference.settings.bc.model_copy(update={"optimiser": fast, "updates": 2})
    settings = reference.settings.model_copy(update={"bc": bc})
    with pytest.raises(RunError, match=r"update \d: .* is (not finite|inf|nan)"):
        pretrain([data], settings, tmp_path / "x.ckpt", algo="bc")
    assert not (tmp_path / "x.ckpt").exists()


def test_snapshots_cost_little_time_where_no_interval_is_given(reference, tmp_path, monkeypatch):
    """A slow disk makes them rarer: 100 times the duration of one lies between two."""
    data = reference.rollout(reference.collect())
    started = time.monotonic()
    now, saved = [started], []

    def clock():
        now[0] += 0.05  # an update, more or less
        return now[0]

    def slow_disk(path, arrays, facts):
        if path.name == SNAPSHOT:
            saved.append(now[0])
            now[0] += 0.5

    monkeypatch.setattr(training.time, "monotonic", clock)
    monkeypatch.setattr(training, "write_arrays", slow_disk)
    longer = reference.settings.bc.model_copy(update={"updates": 1500})
    settings = reference.settings.model_copy(update={"bc": longer})
    pretrain([data], settings, tmp_path / "x.ckpt", algo="bc", execution=Execution(log_every=10**6))
    assert saved[0] - started < 10
    assert len(saved) >= 2
    assert min(np.diff(saved)) >= 50


def test_sizes_that_do_not_fit_are_named(chain, reference):
    start = reference.pretrain(reference.rollout(reference.collect()))
    other = chain("wide")
    other.task = resolve_task("wide_tasks:Wide-v0")
    wide = other.collect()
    with pytest.raises(DatasetError, match=r"observation_dim 4.*trained with 3"):
        finetune(
            start,
            find_training_data(start, [wide.path], data_dir=None, added=[]),
            other.settings,
            other.path("f"),
        )
    with pytest.raises(DatasetError, match="does not fit the other data: observation_layout"):
        pretrain([open_dataset(reference.path("toy")), wide], other.settings, other.path("p", "ckpt"))


def test_a_clone_has_nothing_to_go_on_with_online(reference):
    reference.rollout(reference.collect())
    from awaccli.artifacts.checkpoint import open_checkpoint

    clone = open_checkpoint(reference.path("toy-bc", "ckpt"))
    with pytest.raises(UsageError, match="no critic"):
        reference.finetune(clone)


def test_clones_of_demonstrations_with_a_foreign_start_state_roll_out(chain):
    """As imported ones have it: what a recorder said of its simulator, but no state of ours."""
    plain = chain("plain")
    recorded = plain.collect()
    foreign = [
        replace(episode, sim_init=None, model={"init_state_dict.qpos": np.zeros(3)}) for episode in recorded
    ]
    recipe = Recipe(stage="import", version=1, settings={}, seed=0, inputs=())
    header = recorded.header.model_copy(update={"fields": {}})
    demos = derive(plain.path("foreign"), recipe, header, foreign, parents=())
    data = plain.rollout(demos)
    assert len(data) == len(demos) + plain.settings.rollout.episodes
    assert not data.below("episodes/model/")
    assert not data.has_simulator_state
