"""awac itself: draws, the update, and the watch over its losses, as `awac pretrain` makes them."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from serve import arguments, serve_many

from awaccli.artifacts.manifest import Clock
from awaccli.artifacts.metrics import MetricsLog
from awaccli.config.resolve import resolve
from awaccli.config.settings import Execution
from awaccli.data.dataset import open_dataset
from awaccli.protocols import SILENT
from awaccli.stages.compute import prepare
from awaccli.stages.learners import build_buffer, build_learner
from awaccli.stages.training import Training

options = arguments()
execution = Execution(
    threads=options.threads,
    device=options.device,
    precision=options.precision,
    compilation=options.compile,
    log_every=500,
)
machine = prepare(execution)
hidden = [options.width] * 2
settings = resolve(
    preset="released-hand",
    assignments=[
        f"awac.network.policy_hidden={[options.width] * options.policy_layers}",
        f"awac.network.critic_hidden={hidden}",
    ],
).settings
scratch = Path(tempfile.mkdtemp())
data = [open_dataset(Path(options.data))]
training = Training(
    learner=build_learner("awac", settings, data, seed=0, device=machine.device, compiled=machine.compiled),
    buffer=build_buffer("awac", settings, data, capacity=1, device=machine.device),
    phase="offline",
    seed=0,
    batch_size=options.batch,
    offline_ratio=None,
    success_ratio=0.0,
    execution=execution,
    machine=machine,
    metrics=MetricsLog(scratch / "metrics.jsonl"),
    clock=Clock(execution),
)
idle = SimpleNamespace(after_update=lambda _: None)
serve_many(
    lambda count: training.update_to(training.updates + count, scratch, idle, SILENT),
    settle=torch.cuda.synchronize if options.device == "cuda" else lambda: None,
)
