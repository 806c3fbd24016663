"""Everything, one table after the other."""

from benchmarks import datasets, pipeline, updates

for part in (datasets, pipeline, updates):
    part.main()
