"""Same seed, inputs, versions and threads: the same ids, wherever it runs, and with any number of workers."""

from awaccli.artifacts.manifest import read_manifest

CHAIN = """
awac collect-demos cli_toys:cli/Toy-v0 --success-key reached --policy random -n 4 -o demos.h5
  --workers {workers} &&
awac bc-rollout --demos demos.h5 -n 5 -o toy.h5 {tiny} &&
awac pretrain --data toy.h5 --updates 6 -o pretrained.ckpt {tiny} &&
awac finetune pretrained.ckpt --env-steps 25 -o finetuned.ckpt {tiny} &&
awac eval finetuned.ckpt -n 3 -o result.json --workers {workers} --trust-env
"""
ELSEWHERE = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}


def test_another_process_folder_hash_seed_day_container_and_number_of_workers(script, shelf, tmp_path):
    """The shelf was made in this process, as Zarr, by one worker."""
    workers = 4
    tiny = f"--preset smoke --threads 1 --trust-env --workers {workers}"
    process = script(CHAIN.format(workers=workers, tiny=tiny).replace("\n", " "), tmp_path, **ELSEWHERE)
    _, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    pairs = {"demos.h5": "demos.zarr", "toy.h5": "toy.zarr", "finetuned-online.zarr": "finetuned-online.zarr"}
    pairs |= {name: name for name in ("toy-bc.ckpt", "pretrained.ckpt", "finetuned.ckpt", "result.json")}
    found = {name: read_manifest(tmp_path / name).id for name in pairs}
    assert found == {name: read_manifest(shelf / twin).id for name, twin in pairs.items()}
