import json

from awaccli.artifacts.metrics import MetricsLog, read_metrics


def test_rows_survive_a_torn_last_line_and_rewinding(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for updates in (10, 20, 30):
        log.write({"updates": updates, "env_steps": 0, "q": float("nan")})
    with path.open("a") as file:
        file.write('{"updates": 4')
    assert [row["updates"] for row in read_metrics(path)] == [10, 20, 30]
    log.rewind(updates=20)
    assert [json.loads(line)["updates"] for line in path.read_text().splitlines()] == [10, 20]
    assert read_metrics(path)[0]["q"] is None
