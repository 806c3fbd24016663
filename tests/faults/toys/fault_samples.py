"""What of a list of cases the default suite runs; `make faults` runs all."""

import pytest


def some(cases, *chosen):
    """Return the cases as parameters; all but the chosen ones are marked as slow."""
    return [case if case in chosen else pytest.param(case, marks=pytest.mark.slow) for case in cases]
