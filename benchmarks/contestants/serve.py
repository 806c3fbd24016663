"""How a contestant is driven: it reads a number of updates a line and answers with the seconds they took."""

import argparse
import sys
import time

ANSWERS, sys.stdout = sys.stdout, sys.stderr  # some libraries log to it


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="transitions, npz; for awac a dataset")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--policy-layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", default="never")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def serve(update, settle=lambda: None):
    """Answer until stdin closes; ``settle`` waits for what is still being computed."""

    def updates(count):
        for _ in range(count):
            update()

    serve_many(updates, settle)


def serve_many(updates, settle):
    """Answer until stdin closes, with a function that makes as many updates as it is told."""
    for line in sys.stdin:
        started = time.perf_counter()
        updates(int(line))
        settle()
        ANSWERS.write(f"{time.perf_counter() - started}\n")
        ANSWERS.flush()
