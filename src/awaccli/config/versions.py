"""Versions of what makes artifacts: raised when a recipe gives other numbers, not with every commit."""

STAGE_VERSIONS = {
    "collect-demos": 1,
    "bc-rollout": 3,
    "pretrain": 4,
    "finetune": 4,
    "finetune-online": 4,
    "eval": 1,
}
"""Of stages that a command of the same name runs; 2, 3: the same by other operations, 4: mirrored draws."""
IMPORT_VERSION = 1
VERB_VERSION = 1
"""Of all verbs that make a dataset of others."""
REPAIR_VERSION = 1
