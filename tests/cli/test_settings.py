"""From flags, files and presets to settings."""

import pytest

MAKERS = {
    "collect-demos": ("collect-demos", "TOY", "RANDOM"),
    "bc-rollout": ("bc-rollout", "--demos", "demos.zarr", "-o", "new.zarr", "TINY"),
    "pretrain": ("pretrain", "--data", "toy.zarr", "TINY"),
    "finetune": ("finetune", "pretrained.ckpt", "TINY"),
    "eval": ("eval", "finetuned.ckpt", "--workers", 1),
}
FLAGS = [
    ("collect-demos", ("-n", 7), ("collect", "episodes"), 7),
    ("collect-demos", ("--episodes", 7), ("collect", "episodes"), 7),
    ("collect-demos", ("--policy", "toy_tasks:forward"), ("collect", "policy"), "toy_tasks:forward"),
    ("collect-demos", ("--actions", "sample"), ("collect", "actions"), "sample"),
    ("collect-demos", ("--noise", 0.1), ("collect", "noise"), 0.1),
    ("collect-demos", ("--noise-correlation", 0.9), ("collect", "noise_correlation"), 0.9),
    ("collect-demos", ("--success-only",), ("collect", "success_only"), True),
    ("collect-demos", ("--success-only", "--all"), ("collect", "success_only"), False),
    ("collect-demos", ("--max-attempts", 9), ("collect", "max_attempts"), 9),
    ("collect-demos", ("--sim-state", "full"), ("collect", "sim_state"), "full"),
    ("collect-demos", ("--horizon", 4), ("task", "horizon"), 4),
    ("collect-demos", ("--env-kwargs", '{"slow_s": 0.5}'), ("task", "kwargs"), {"slow_s": 0.5}),
    ("collect-demos", ("--env-kwargs", '{"max_episode_steps": 3}'), ("task", "horizon"), 3),
    ("bc-rollout", ("-n", 7), ("rollout", "episodes"), 7),
    ("bc-rollout", ("--actions", "mix"), ("rollout", "actions"), "mix"),
    ("bc-rollout", ("--updates", 3), ("bc", "updates"), 3),
    ("bc-rollout", ("--batch-size", 5), ("bc", "batch_size"), 5),
    ("bc-rollout", ("--bc-seeds", 2), ("rollout", "bc_seeds"), 2),
    ("bc-rollout", ("--no-include-demos",), ("rollout", "include_demos"), False),
    ("pretrain", ("--updates", 3), ("pretrain", "updates"), 3),
    ("pretrain", ("--algo", "bc", "--updates", 3), ("bc", "updates"), 3),
    ("pretrain", ("--algo", "bc", "--batch-size", 3), ("bc", "batch_size"), 3),
    ("pretrain", ("--batch-size", 5), ("pretrain", "batch_size"), 5),
    ("pretrain", ("--lam", 0.25), ("awac", "lam"), 0.25),
    ("pretrain", ("--lam", "inf"), ("awac", "lam"), "inf"),
    ("pretrain", ("--discount", 0.9), ("awac", "discount"), 0.9),
    ("pretrain", ("--n-step", 4), ("awac", "n_step"), 4),
    ("pretrain", ("--set", "awac.network.layer_norm=true"), ("awac", "network", "layer_norm"), True),
    ("pretrain", ("--set", "awac.advantage_cap=none"), ("awac", "advantage_cap"), None),
    ("finetune", ("--env-steps", 30), ("finetune", "env_steps"), 30),
    ("finetune", ("--env-steps", 0, "--updates", 8), ("finetune", "updates"), 8),
    ("finetune", ("--batch-size", 5), ("finetune", "batch_size"), 5),
    ("finetune", ("--utd", 2), ("finetune", "utd"), 2.0),
    ("finetune", ("--warmup-steps", 9), ("finetune", "warmup_steps"), 9),
    ("finetune", ("--offline-ratio", 0.5), ("finetune", "offline_ratio"), 0.5),
    ("finetune", ("--lam", 0.25), ("awac", "lam"), 0.25),
    ("eval", ("-n", 7), ("evaluate", "episodes"), 7),
    ("eval", ("--actions", "sample"), ("evaluate", "actions"), "sample"),
]


@pytest.fixture
def inputs(linked):
    for name in ("demos.zarr", "toy.zarr", "pretrained.ckpt", "finetuned.ckpt"):
        linked(name)


def planned(awac, *arguments):
    return awac(*arguments, "--dry-run", "--json").json


def at(tree, names):
    for name in names:
        tree = tree[name]
    return tree


@pytest.mark.parametrize(("command", "flags", "setting", "value"), FLAGS)
def test_a_flag_is_a_setting(awac, inputs, command, flags, setting, value):
    plan = planned(awac, *MAKERS[command], *flags)
    assert at(plan["settings"], setting) == value


def test_flags_beat_assignments_beat_the_file_beat_the_preset(awac, inputs, tmp_path):
    (tmp_path / "mine.toml").write_text("[pretrain]\nupdates = 11\nbatch_size = 12\n[awac]\nn_step = 13\n")
    plan = planned(
        awac, *MAKERS["pretrain"], "--config", "mine.toml", "--set", "pretrain.batch_size=22", "--lam", 0.5
    )
    found = [at(plan["settings"], name.split(".")) for name in ("pretrain.updates", "pretrain.batch_size")]
    assert found == [11, 22]
    assert plan["settings"]["awac"]["n_step"] == 13
    assert plan["settings"]["awac"]["network"]["policy_hidden"] == [32, 32]
    assert plan["settings"]["awac"]["lam"] == 0.5


def test_fine_tuning_inherits_the_checkpoints_settings(awac, inputs):
    plan = planned(awac, "finetune", "pretrained.ckpt", "--env-steps", 5)
    assert plan["settings"]["awac"]["network"]["policy_hidden"] == [32, 32]


def test_the_seed_is_0_unless_given(awac):
    assert planned(awac, *MAKERS["collect-demos"])["seed"] == 0
    assert planned(awac, *MAKERS["collect-demos"], "--seed", 5)["seed"] == 5


@pytest.mark.parametrize("flag", ["--beta", "--temperature"])
@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_other_names_of_the_temperature_are_refused_with_the_conversion(awac, inputs, command, flag):
    result = awac(*MAKERS[command], flag, 2).failed(2, "awac calls it --lam, and it divides", "1/value")
    assert "--lam value" in result.err


def test_settings_are_shown_with_their_origin(awac):
    shown = awac("config", "show", "--preset", "smoke", "--set", "awac.lam=0.25", "--explain").out
    assert "awac.lam = 0.25  # --set\n" in shown
    assert "pretrain.updates = 40  # preset smoke\n" in shown
    assert "awac.tau = 0.005  # default\n" in shown


def test_settings_as_json_name_their_origins(awac):
    found = awac("config", "show", "--preset", "smoke", "--json").json
    assert found["settings"]["pretrain"]["updates"] == 40
    assert found["origins"]["pretrain.updates"] == "preset smoke"


def test_presets_are_listed(awac):
    assert "released-hand" in awac("config", "presets").out.splitlines()
    assert "smoke" in awac("config", "presets", "--json").json["presets"]


REFUSED = [
    ("collect-demos", ("-n", 0), "`collect.episodes` in a flag", "episodes to keep"),
    ("collect-demos", ("-n", -3), "`collect.episodes`", "episodes to keep"),
    ("collect-demos", ("--noise", -0.1), "`collect.noise`", ">= 0"),
    ("collect-demos", ("--noise-correlation", 1), "less than 1", "< 1"),
    ("collect-demos", ("--max-attempts", 0), "`collect.max_attempts`", ""),
    ("collect-demos", ("--actions", "best"), "'mean' or 'sample'", "mean|sample"),
    ("collect-demos", ("--horizon", 0), "horizon of task `toy` is 0", ">= 1"),
    ("collect-demos", ("--workers", 0), "--workers 0", "auto"),
    ("collect-demos", ("--workers", -2), "--workers -2", "auto"),
    ("collect-demos", ("--workers", "many"), "--workers many", "auto"),
    ("collect-demos", ("--env-kwargs", "max=3"), "--env-kwargs is not JSON", "e.g. --env-kwargs '{"),
    ("collect-demos", ("--env-kwargs", "[1]"), "expected a JSON object", "e.g. --env-kwargs '{"),
    ("collect-demos", ("--env-kwargs", '{"wheels": 3}'), "unexpected keyword argument 'wheels'", "--env-kw"),
    ("collect-demos", ("--env-kwargs", '{"max_episode_steps": 0}'), "is 0", ">= 1"),
    ("collect-demos", ("--set", "collect.episode=3"), "unknown setting", "did you mean `collect.episodes`"),
    ("collect-demos", ("--set", "collect"), "has no value", "section.name=value"),
    ("collect-demos", ("--preset", "smok"), "unknown preset `smok`", "did you mean `smoke`"),
    ("collect-demos", ("--time-limit", "soon"), "--time-limit soon", "3h50m"),
    ("collect-demos", ("--overwrite", "--resume"), "exclude each other", "one of them"),
    ("pretrain", ("--threads", 0), "--threads 0", "auto"),
    ("pretrain", ("--batch-size", 0), "`pretrain.batch_size`", ">= 1"),
    ("pretrain", ("--updates", -1), "`pretrain.updates`", ">= 0"),
    ("pretrain", ("--save-every", -1), "--save-every -1", "updates between"),
    ("pretrain", ("--max-memory", "lots"), "--max-memory lots", "8GiB"),
    ("pretrain", ("--eval-every", -1), "--eval-every -1", "0: never"),
    ("pretrain", ("--lam", 0), "`awac.lam`", "> 0"),
    ("pretrain", ("--discount", 1), "`awac.discount`", "< 1"),
    ("pretrain", ("--algo", "awad"), "there is no algorithm `awad`", "did you mean `awac`"),
    ("pretrain", ("--device", "gpu9"), "device `gpu9` is not available", "--device cpu"),
    ("finetune", ("--env-steps", 0), "counts by --env-steps, or by --updates", "one of the two"),
    ("finetune", ("--env-steps", -5), "`finetune.env_steps`", ">= 0"),
    ("finetune", ("--offline-ratio", 1.5), "`finetune.offline_ratio`", ""),
    ("eval", ("--success", "ever"), "--success ever", "known: any, final, held"),
    ("eval", ("--horizon", 5), "describe the --task", "name the task"),
]


@pytest.mark.parametrize(("command", "flags", "message", "hint"), REFUSED)
def test_settings_that_make_no_sense_are_refused(awac, inputs, tmp_path, command, flags, message, hint):
    before = sorted(tmp_path.rglob("*"))
    awac(*MAKERS[command], *flags).failed(2, message, hint)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, 3, "does not exist"),
        ("pretrain: 3", 3, "cannot be read as TOML"),
        ("[pretrain]\nupdate = 3", 2, "unknown setting `pretrain.update` in config file mine.toml"),
        ("[pretrain]\nupdates = 'many'", 2, "setting `pretrain.updates` in config file mine.toml"),
    ],
)
def test_a_config_file_that_is_wrong_is_named(awac, inputs, tmp_path, text, code, message):
    if text is not None:
        (tmp_path / "mine.toml").write_text(text)
    awac(*MAKERS["pretrain"], "--config", "mine.toml").failed(code, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("colect-demos",), "Did you mean"),
        (("pretrain", "--dat", "x"), "No such option: --dat"),
        (("collect-demos",), "Missing argument 'task'"),
        (("pretrain",), "Missing option '--data'"),
        (("collect-demos", "TOY", "--seed", -1), "--seed"),
        (("eval", "x.ckpt", "--min-success", 2), "--min-success"),
    ],
)
def test_typers_own_complaints_are_exit_2(awac, arguments, message):
    result = awac(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Usage: awac" in result.err
