"""Versions of what makes artifacts: raised when a recipe gives other numbers, not with every commit."""

STAGE_VERSIONS = {
    "collect-demos": 1,
    "bc-rollout": 3,
    "pretrain": 5,
    "finetune": 5,
    "finetune-online": 5,
    "eval": 1,
}
"""Of stages that a command of the same name runs.

2, 3: the same by other operations; 4: mirrored draws; 5: multipliers of `mpo` and `abm` through a softplus.
"""
IMPORT_VERSION = 1
VERB_VERSION = 1
"""Of all verbs that make a dataset of others."""
REPAIR_VERSION = 1
