import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awaccli.config.algorithms import default_preset
from awaccli.config.resolve import load_preset, preset_names, resolve, setting_names
from awaccli.config.tree import Settings
from awaccli.errors import InputError, UsageError


def test_flags_beat_set_beats_file_beats_preset_beats_inherited_beats_defaults(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[awac]\nlam = 4.0\ndiscount = 0.95\ntau = 0.04\nn_step = 4\n")
    resolved = resolve(
        inherited=[("the checkpoint", {"awac": {"lam": 6.0, "bc_updates": 6}})],
        preset="paper-gym",
        file=file,
        assignments=["awac.tau=0.02", "awac.n_step=2"],
        flags={"awac.n_step": 1, "awac.discount": None},
    )
    awac = resolved.settings.awac
    assert (awac.n_step, awac.tau, awac.lam, awac.discount) == (1, 0.02, 4.0, 0.95)
    assert awac.value == "sample"
    assert awac.bc_updates == 6
    assert awac.average == Settings().awac.average
    assert resolved.origins["awac.n_step"] == "a flag"
    assert resolved.origins["awac.tau"] == "--set"
    assert resolved.origins["awac.value"] == "preset paper-gym"
    assert "awac.average" not in resolved.origins


def test_a_named_preset_leaves_the_default_one_out():
    alone = resolve(default="modern").settings.awac
    assert (alone.policy_members, alone.lam) == (4, 0.3)
    named = resolve(default="modern", preset="released-hand").settings
    assert named == resolve(preset="released-hand").settings
    assert named.awac.policy_members == 1


def test_a_config_file_extends_a_preset_that_the_checkpoint_overrides_and_an_argument_replaces(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('extends = "paper-gym"\n[awac]\ntau = 0.04\n')
    checkpoint = [("the checkpoint", {"awac": {"lam": 6.0}})]
    found = resolve(default="modern", inherited=checkpoint, file=file)
    awac = found.settings.awac
    assert (awac.tau, awac.lam, awac.advantage_cap, awac.policy_members) == (0.04, 6.0, None, 1)
    assert found.origins["awac.advantage_cap"] == "preset paper-gym"
    replaced = resolve(default="modern", inherited=checkpoint, file=file, preset="modern").settings.awac
    assert (replaced.tau, replaced.lam, replaced.policy_members) == (0.04, 0.3, 4)


@pytest.mark.parametrize("name", ["modem", "3"])
def test_a_config_file_that_extends_no_preset_is_refused(tmp_path, name):
    file = tmp_path / "c.toml"
    file.write_text(f'extends = "{name}"\n')
    with pytest.raises(UsageError, match=f"config file .*c.toml extends `{name}`, which is no preset"):
        resolve(file=file)


def test_awac_starts_from_modern_and_what_it_is_compared_with_from_the_published_recipe():
    assert default_preset("awac", "binary") == default_preset("bc", "binary") == "modern"
    assert default_preset("sac", "binary") == "released-hand"
    assert default_preset("awac", "dense") == default_preset("sac", "dense") == "paper-gym"


@given(st.sampled_from(sorted(setting_names())))
def test_a_partial_section_keeps_the_rest_of_the_tree_at_its_defaults(name):
    default = Settings()
    value = setting_names()[name]
    if value is None or isinstance(value, list):
        return
    text = f'{name}="{value}"' if isinstance(value, str) else f"{name}={str(value).lower()}"
    assert resolve(assignments=[text]).settings == default


def test_a_preset_that_extends_another_has_all_that_it_does_not_change():
    base, found = load_preset("released-hand"), load_preset("paper-hand")
    assert found["pretrain"] == base["pretrain"]
    assert found["awac"]["optimiser"] == base["awac"]["optimiser"]
    assert (base["awac"]["lam"], found["awac"]["lam"]) == (0.5, 0.3)
    assert "extends" not in found


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_resolves(preset):
    resolve(preset=preset)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"assignments": ["awac.lan=1"]}, "unknown setting `awac.lan` in --set", "`awac.lam`"),
        ({"assignments": ["lam=1"]}, "unknown setting `lam`", "did you mean `awac.lam`?"),
        ({"assignments": ["awac.lam"]}, "has no value", "section.name=value"),
        ({"flags": {"awac.lam": -1.0}}, "setting `awac.lam` in a flag", None),
        (
            {"assignments": ["awac.weights=binary", "awac.normaliser_samples=3"]},
            r"^setting `awac`: binary weights have no Z\(s\): normaliser_samples must be 0$",
            "awac config show",
        ),
        ({"preset": "smok"}, "unknown preset `smok`", "`smoke`"),
    ],
)
def test_bad_settings_say_what_where_and_what_next(arguments, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        resolve(**arguments)
    assert hint is None or hint in caught.value.hint


def test_config_file_missing_or_broken_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        resolve(file=tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[awac\n")
    with pytest.raises(InputError, match="cannot be read as TOML"):
        resolve(file=broken)


def test_infinity_and_none_have_words():
    awac = resolve(assignments=["awac.lam=inf", "awac.advantage_cap=none"]).settings.awac
    assert awac.lam == math.inf
    assert awac.advantage_cap is None
    assert Settings.model_validate_json(Settings(awac=awac).model_dump_json()).awac.lam == math.inf
