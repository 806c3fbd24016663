"""How the folder lerobot beside this script was made: python make_lerobot.py

Needs `pip install lerobot==0.4.4 numpy==2.2.6`, on Python 3.11; it writes codebase version v3.0.
"""

from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

OUT = Path(__file__).with_name("lerobot")
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]},
    "observation.effort": {"dtype": "float64", "shape": (1,), "names": None},
    "observation.images.top": {"dtype": "image", "shape": (8, 8, 3), "names": ["height", "width", "channel"]},
    "action": {"dtype": "float32", "shape": (2,), "names": None},
    "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    "next.success": {"dtype": "bool", "shape": (1,), "names": None},
    "phase": {"dtype": "int64", "shape": (1,), "names": None},
}


def main() -> None:
    rng = np.random.default_rng(0)
    dataset = LeRobotDataset.create("toy/reach", 25, FEATURES, OUT, robot_type="so100", use_videos=False)
    dataset.meta.info["data_files_size_in_mb"] = 0.005  # so that there are several files
    for length, task in ((4, "reach left"), (1, "reach right"), (5, "reach left")):
        for step in range(length):
            last = step == length - 1
            frame = {
                "observation.state": rng.normal(size=3).astype(np.float32),
                "observation.effort": rng.normal(size=1),
                "observation.images.top": rng.integers(255, size=(8, 8, 3), dtype=np.uint8),
                "action": rng.uniform(-1, 1, 2).astype(np.float32),
                "next.reward": np.array([step], np.float32),
                "next.done": np.array([last]),
                "next.success": np.array([last and length > 1]),
                "phase": np.array([step // 2]),
                "task": task,
            }
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    main()
