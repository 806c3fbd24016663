"""What can be imported from ``awaccli`` and ``awaccli.data``."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import awaccli
import awaccli.data

PAGE = Path(__file__).parents[2] / "docs" / "data-api.md"


@pytest.mark.parametrize("package", [awaccli, awaccli.data], ids=lambda package: package.__name__)
def test_every_name_leads_to_what_is_called_so_and_hides_no_module(package):
    for name in package.__all__:
        found = getattr(package, name)
        assert getattr(found, "__name__", name) == name
        assert importlib.util.find_spec(f"{package.__name__}.{name}") is None, name
        assert name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_a_name_is_the_same_from_both():
    for name in set(awaccli.__all__) & set(awaccli.data.__all__):
        assert getattr(awaccli, name) is getattr(awaccli.data, name)


def test_the_page_shows_every_function():
    text = PAGE.read_text(encoding="utf-8")
    functions = {name for name in awaccli.data.__all__ if name[0].islower()} - {"dataset_distributions"}
    functions |= {"replay", "import_data", "export_data", "hand_success", "environment_goals"}
    assert [name for name in sorted(functions) if f"{name}(" not in text] == []


def test_importing_them_loads_nothing_heavy():
    code = "import sys, awaccli.data; print(sorted({'torch', 'numpy', 'zarr', 'mujoco'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
