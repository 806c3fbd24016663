"""d3rlpy's AWAC: its replay buffer, its sampling, its update."""

import d3rlpy
import numpy as np
import torch
from serve import arguments, serve

options = arguments()
torch.set_num_threads(options.threads)
data = np.load(options.data)
encoder = d3rlpy.models.VectorEncoderFactory
dataset = d3rlpy.dataset.MDPDataset(
    data["observations"],
    data["actions"],
    data["rewards"],
    terminals=np.zeros(len(data["rewards"]), np.float32),
    timeouts=data["last"],
    action_space=d3rlpy.ActionSpace.CONTINUOUS,
)
algorithm = d3rlpy.algos.AWACConfig(
    batch_size=options.batch,
    lam=0.5,
    actor_encoder_factory=encoder([options.width] * options.policy_layers),
    critic_encoder_factory=encoder([options.width] * 2),
    compile_graph=options.compile == "always",
).create(device="cpu")
algorithm.build_with_dataset(dataset)
serve(lambda: algorithm.update(dataset.sample_transition_batch(options.batch)))
