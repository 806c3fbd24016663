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
