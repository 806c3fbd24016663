"""The toy task, drawing itself: its first number is how red it is."""

import gymnasium as gym
import numpy as np
from toy_tasks import Toy


class Drawn(Toy):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, *, render_mode=None, picture_dtype="uint8", **options):
        super().__init__(**options)
        self.render_mode, self.dtype = render_mode, picture_dtype

    def render(self):
        assert self.render_mode == "rgb_array"
        picture = np.zeros((40, 30, 3), self.dtype)
        picture[..., 0] = np.clip(128 + 40 * self.x[0], 0, 255)
        return picture


gym.register("Drawn-v0", entry_point=Drawn, max_episode_steps=6)


class Unsteady(Drawn):
    """Moves further in every copy that is made of it, as no simulator should: a robot does."""

    copies = 0

    def __init__(self, **options):
        super().__init__(**options)
        type(self).copies += 1
        self.drift = 0.01 * type(self).copies

    def step(self, action):
        return super().step(np.asarray(action) + self.drift)


gym.register("Unsteady-v0", entry_point=Unsteady, max_episode_steps=6)
