"""``awac data``: one file per verb."""

from __future__ import annotations

import typer

from awaccli.cli.data.card import card
from awaccli.cli.data.convert import convert
from awaccli.cli.data.dedupe import dedupe
from awaccli.cli.data.download import download
from awaccli.cli.data.export import export
from awaccli.cli.data.filter import filter_
from awaccli.cli.data.head import head
from awaccli.cli.data.import_ import import_
from awaccli.cli.data.merge import merge
from awaccli.cli.data.plot import plot
from awaccli.cli.data.relabel import relabel
from awaccli.cli.data.repair import repair
from awaccli.cli.data.replay import replay
from awaccli.cli.data.split import split
from awaccli.cli.data.stats import stats
from awaccli.cli.data.subsample import subsample
from awaccli.cli.data.validate import validate
from awaccli.cli.data.video import video

data_app = typer.Typer(help="Work on datasets.", rich_markup_mode=None, no_args_is_help=True)
data_app.command("card")(card)
data_app.command("convert")(convert)
data_app.command("dedupe")(dedupe)
data_app.command("download")(download)
data_app.command("export")(export)
data_app.command("filter")(filter_)
data_app.command("head")(head)
data_app.command("import")(import_)
data_app.command("merge")(merge)
data_app.command("plot")(plot)
data_app.command("relabel")(relabel)
data_app.command("repair")(repair)
data_app.command("replay")(replay)
data_app.command("split")(split)
data_app.command("stats")(stats)
data_app.command("subsample")(subsample)
data_app.command("validate")(validate)
data_app.command("video")(video)
