"""What updates are computed with: libraries, precisions and the compiler change what they say, no more."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from awaccli.config.settings import Execution
from awaccli.errors import InterruptedRunError
from awaccli.stages.compute import prepare


@pytest.fixture(autouse=True)
def _as_it_was():
    products = torch.backends.mkldnn.matmul.fp32_precision
    yield
    torch.backends.mkldnn.matmul.fp32_precision = products


def test_float32_is_float32_whichever_library_multiplies():
    assert prepare(Execution()).precision in {"float32", "float32 (oneDNN)"}
    a, b = torch.rand(256, 1024), torch.rand(1024, 256)
    exact = a.double() @ b.double()
    assert float(((a @ b - exact) / exact).abs().max()) < 1e-5


def test_a_library_that_rounds_to_bfloat16_is_not_used(monkeypatch):
    product, settings = torch.Tensor.__matmul__, torch.backends.mkldnn.matmul

    def rounding(a, b):
        if settings.fp32_precision == "bf16" and a.dtype == torch.float32:
            a, b = a.bfloat16().float(), b.bfloat16().float()
        return product(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    assert prepare(Execution()).precision == "float32"
    assert settings.fp32_precision == "none"


@pytest.fixture
def repeated(chain, stop_after, resume):
    """Pretrain as usual, then twice in a special way, once stopped and resumed, to the same bits."""

    def repeat(**special):
        plain, execution = chain("plain"), Execution(save_every=2, log_every=1, **special)
        data = plain.rollout(plain.collect())
        usual = plain.pretrain(data)
        runs = [chain(name, execution=execution) for name in ("first", "second")]
        first = runs[0].pretrain(data)
        with pytest.raises(InterruptedRunError):
            runs[1].pretrain(data, report=stop_after(4))
        second = runs[1].pretrain(data, existing=resume)
        assert first.id == second.id != usual.id
        assert first.manifest.recipe.key == usual.manifest.recipe.key
        return usual, first

    return repeat


@pytest.mark.parametrize("special", [{"compilation": "always"}, {"precision": "bf16"}])
def test_other_ways_to_compute_repeat_and_resume_to_the_same_bits(repeated, special):
    usual, first = repeated(**special)
    run = first.manifest.run
    assert run.precision == special.get("precision", usual.manifest.run.precision)
    assert run.mode == ("compiled" if "compilation" in special else "eager")
    for name, tensor in usual.trainer().items():
        np.testing.assert_allclose(first.trainer()[name], tensor, atol=2e-2, rtol=2e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("special", [{}, {"compilation": "always"}, {"precision": "bf16"}])
def test_a_gpu_repeats_and_resumes_to_the_same_bits(repeated, special):
    _, first = repeated(device="cuda", **special)
    assert first.manifest.run.device == "cuda"


@pytest.mark.gpu
def test_a_gpu_fine_tunes_what_a_cpu_pretrained_and_the_other_way(chain):
    names = ("cpu", "cuda")
    runs = {name: chain(name, execution=Execution(device=name)) for name in names}
    data = runs["cpu"].rollout(runs["cpu"].collect())
    for here, there in (names, names[::-1]):
        checkpoint = runs[there].finetune(runs[here].pretrain(data))
        assert checkpoint.content.env_steps > 0


def test_without_a_compiler_long_runs_are_eager_and_asking_for_it_is_an_error(tmp_path):
    script = """
from awaccli.config.settings import Execution
from awaccli.errors import UsageError
from awaccli.stages.compute import prepare
assert prepare(Execution(), rows=10**12).mode == "eager"
try:
    prepare(Execution(compilation="always"))
except UsageError as error:
    print(error)
"""
    bare = {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=bare, capture_output=True, text=True, check=True
    )
    assert "compiler" in done.stdout
