"""The five stages and a verb that makes datasets, as users type them; each on what those before it made."""

_TOY = ("fault_toys:fault/Toy-v0", "--success-key", "reached", "--policy", "random")
_TINY = ("--preset", "smoke", "--threads", 1, "--set", "bc.updates=12", "--workers", 1)
_OFTEN = ("--eval-every", 4, "--eval-episodes", 2, "--save-every", 3)
_OURS = "--trust-env"
_HERE = ("--workers", 1)
TOY = {
    "demos": ("collect-demos", *_TOY, "-n", 6, "-o", "demos.zarr", *_HERE),
    "toy": ("bc-rollout", "--demos", "demos.zarr", "-n", 6, "-o", "toy.zarr", *_TINY, _OURS),
    "pretrained": (
        *("pretrain", "--data", "toy.zarr", "--updates", 14, "-o", "pretrained.ckpt"),
        *(*_TINY, *_OFTEN, _OURS),
    ),
    "finetuned": (
        *("finetune", "pretrained.ckpt", "--env-steps", 30, "-o", "finetuned.ckpt"),
        *(*_TINY, *_OFTEN, _OURS, "--set", "finetune.utd=0.5"),
    ),
    "measured": ("eval", "finetuned.ckpt", "-n", 5, "-o", "measured.json", _OURS, *_HERE),
    "merged": ("data", "merge", "demos.zarr", "toy.zarr", "-o", "merged.zarr"),
}
"""On an environment that costs nothing, by the stem of what each makes; in one process."""

_SELDOM = ("--eval-every", 10, "--eval-episodes", 1, "--save-every", 5)
HAND = {
    "demos": ("collect-demos", "relocate", "-n", 3, "-o", "demos.zarr", *_HERE),
    "toy": ("bc-rollout", "--demos", "demos.zarr", "-n", 3, "-o", "toy.zarr", *_TINY),
    "pretrained": (
        *("pretrain", "--data", "toy.zarr", "--updates", 20, "-o", "pretrained.ckpt"),
        *(*_TINY, *_SELDOM),
    ),
    "finetuned": (
        *("finetune", "pretrained.ckpt", "--env-steps", 450, "-o", "finetuned.ckpt"),
        *(*_TINY, *_SELDOM, "--set", "finetune.utd=0.05"),
    ),
    "measured": ("eval", "finetuned.ckpt", "-n", 3, "-o", "measured.json", *_HERE),
    "merged": ("data", "merge", "demos.zarr", "toy.zarr", "-o", "merged.zarr"),
}
"""On the real hand, with its expert: whole episodes of 200 steps."""
