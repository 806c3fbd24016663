"""What `awac report` reads and writes: markup, the graph's layout, charts, and pages about hostile files."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from awaccli.artifacts.commit import Begun
from awaccli.artifacts.manifest import read_manifest
from awaccli.config.task import TaskSpec
from awaccli.errors import InputError, RunError
from awaccli.protocols import Clip
from awaccli.reports.chart import Chart, Line, Spot, chart_html
from awaccli.reports.graph_layout import laid_out
from awaccli.reports.html import Html, element, joined, prose
from awaccli.reports.report import read_report
from awaccli.reports.report_page import page_html

EVIL = "<script>window.pwned=1</script>"
CLIP = Clip(2, True, 10, -3.0, 4, "video/mp4", b"film")


class Outline(HTMLParser):
    """Reads a page: every element, the levels of headings, anchors and what leads to them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.targets, self.levels, self.text = [], [], set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        if (found.get("href") or "").startswith("#"):
            self.targets.add(found["href"][1:])
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))

    def handle_data(self, data):
        self.text += data


def metrics(*values, phase="online", step=1000):
    return [
        {
            "phase": phase,
            "updates": 100 * number,
            "env_steps": step * number,
            "wall_s": float(number),
            "eval/episodes": 40,
            "eval/success_final": value,
            "eval/success_any": value,
            "eval/success_held": 0.0,
            "eval/return_mean": -10.0 * number,
            "weights/ess": 0.5,
        }
        for number, value in enumerate(values)
    ]


def made(*paths, **options):
    return page_html(read_report([Path(path) for path in paths], **options))


def test_text_is_escaped_and_markup_is_not():
    assert element("p", EVIL, title='"x"') == (
        '<p title="&quot;x&quot;">&lt;script&gt;window.pwned=1&lt;/script&gt;</p>'
    )
    assert joined(Html("<br>"), "<br>", None) == "<br>&lt;br&gt;"
    assert element("video", muted="", src=None, tabindex=0, class_="a") == (
        '<video muted tabindex="0" class="a"></video>'
    )
    assert prose("see `a<b` and `c`") == "see <code>a&lt;b</code> and <code>c</code>"


def test_a_graph_goes_down_and_nothing_overlaps():
    nodes = ["fine", "pre", "roll", "demos", "clone", "expert", "online"]
    edges = [
        ("expert", "demos"),
        ("demos", "clone"),
        ("demos", "roll"),
        ("clone", "roll"),
        ("roll", "pre"),
        ("roll", "fine"),
        ("pre", "fine"),
        ("online", "fine"),
    ]
    found = laid_out(nodes, edges)
    depth = {node: layer for node, (_, layer) in found.nodes.items()}
    assert [depth[node] for node in ("expert", "demos", "clone", "roll", "pre", "fine")] == list(range(6))
    assert depth["online"] == depth["fine"] - 1  # a root is drawn where it is used
    for (start, end), places in found.edges.items():
        assert [layer for _, layer in places] == list(range(depth[start], depth[end] + 1))
    for layer in range(found.layers):
        beside = sorted(column for column, row in found.nodes.values() if row == layer)
        assert all(b - a >= 1 for a, b in pairwise(beside))
        passing = [x for places in found.edges.values() for x, row in places[1:-1] if row == layer]
        assert all(abs(x - column) > 0.5 for x in passing for column in beside)
    assert laid_out(nodes, edges) == found
    assert laid_out([], []).layers == 0


def test_a_chart_says_in_words_what_it_draws():
    online = [Spot(0, 0.25, 0.1, 0.4), Spot(5000, 0.75, 0.6, 0.9)]
    text = chart_html(Chart("Success", "", [Line("final", {"online": online})], share=True, dots=True))
    assert "final: 25 % at 0, 75 % at 5000 online steps" in text
    assert text.count("<circle") == 2
    assert "<polygon" in text
    assert 'class="plane online"' in text
    assert "offline" not in text
    flat = chart_html(Chart("Loss", "", [Line("loss", {"offline": [Spot(10, -3.0)]})]))
    assert "<circle" in flat  # a single point is no line
    assert "<polyline" not in flat


def test_a_page_about_a_chain(workshop, shelf):
    text = made(shelf / "policy.ckpt")
    page = Outline(text)
    assert page.targets <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(page.levels))
    assert "script" not in page.tags
    assert "50 % [15, 85]" in page.text  # the evaluation beside the checkpoint
    assert "result.json" in page.text
    assert "data.zarr" in page.text
    assert str(shelf) not in text  # whose folder it is, is nobody's business
    assert text == made(shelf / "policy.ckpt")
    for attribute in re.findall(r'(?:src|href|srcset|action)="([^"]*)"', text):
        assert attribute.startswith(("#", "data:"))


def test_curves_and_signs_come_from_the_log(workshop):
    path = workshop.checkpoint(metrics=metrics(0.9, 0.4, 0.1))
    report = read_report([path])
    (shown,) = report.shown
    assert [(one.name, round(one.success.final.rate, 2)) for one in shown.measured] == [
        ("in training, step 2000", 0.1),
        ("before online training, step 0", 0.9),
    ]
    assert any("success fell from 90% to 40%" in words for words in shown.remarks)
    text = page_html(report)
    assert "at the last step: 90 % at 0, 10 % at 2000 online steps" in text
    assert "success fell from 90%" in text


def test_evaluations_by_mean_and_by_sampled_actions_stay_apart(workshop):
    policy = workshop.checkpoint()
    workshop.evaluation("mean.json", checkpoint=policy, successes=4)
    workshop.evaluation("sampled.json", checkpoint=policy, successes=1, deterministic=False)
    workshop.evaluation("other.json", checkpoint=workshop.checkpoint("other.ckpt", seed=1))
    (shown,) = read_report([policy]).shown
    assert [(one.name, one.actions, one.success.final.rate) for one in shown.measured] == [
        ("mean.json", "mean", 1.0),
        ("sampled.json", "sample", 0.25),
    ]


def test_an_evaluation_alone_has_its_chain(workshop):
    policy = workshop.checkpoint()
    result = workshop.evaluation(checkpoint=policy)
    report = read_report([result])
    assert [one.kind for one in report.shown] == ["evaluation"]
    assert {node.kind for node in report.graph.nodes} == {"evaluation", "checkpoint"}
    assert "4 episodes with mean actions" in page_html(report)
    assert [one.kind for one in read_report([result, policy]).shown] == ["checkpoint"]  # it is part of that


def test_a_training_that_goes_on_has_its_curves_and_its_chain(workshop):
    data = workshop.dataset()
    part = workshop.folder / "next.ckpt.part"
    (part / "payload").mkdir(parents=True)
    begun = Begun(recipe=workshop.recipe("pretrain", "data", [data]), ancestors=read_manifest(data).lineage())
    (part / "begun.json").write_text(begun.model_dump_json())
    lines = "".join(json.dumps(row) + "\n" for row in metrics(0.1, 0.4))
    (part / "payload" / "metrics.jsonl").write_text(lines)
    page = Outline(made(part))
    assert "in training by" in page.text
    assert "at the last step" in page.text
    assert "data.zarr" in page.text
    assert page.targets <= set(page.ids)


def test_names_from_files_are_only_ever_text(workshop):
    facts = workshop.facts.model_copy(update={"spec": TaskSpec(name=EVIL, horizon=200)})
    data = workshop.dataset(f"{EVIL.replace('/', '')}.zarr", facts=facts)
    policy = workshop.checkpoint("<b onclick=x>&amp;.ckpt", data=[data])
    text = made(data, policy, film=lambda dataset: [CLIP])
    page = Outline(text)
    assert "script" not in page.tags
    assert "<b onclick" not in text
    assert EVIL in page.text
    assert "<b onclick=x>&amp;.ckpt" in page.text


def test_what_cannot_be_filmed_is_left_out_in_words(workshop):
    data = workshop.dataset()

    def broken(dataset):
        raise RunError(f"no OpenGL for `{dataset.path}`", hint="install it")

    report = read_report([data], film=broken)
    assert report.films == ()
    assert report.notes["films"] == "no OpenGL for `data.zarr` (install it)"
    assert "There are none" in made(data)
    text = made(data, film=lambda dataset: [CLIP, CLIP._replace(media_type="image/gif", success=False)])
    assert text.count("data:video/mp4;base64,ZmlsbQ==") == 1
    assert text.count("data:image/gif;base64,ZmlsbQ==") == 1
    assert "From step 4 on it goes elsewhere" in text


def test_a_folder_names_what_is_damaged_and_shows_the_rest(workshop):
    policy = workshop.checkpoint(metrics=metrics(0.2))
    other = workshop.checkpoint("second.ckpt", seed=1, metrics=metrics(0.5))
    torn = workshop.checkpoint("torn.ckpt", seed=2)
    (torn / "policy.safetensors").write_bytes(b"torn")
    report = read_report([workshop.folder])
    assert [one.path for one in report.shown] == [policy, other]
    ((name, why),) = report.damaged
    assert name == "torn.ckpt"
    assert "policy.safetensors has changed" in why
    page = Outline(page_html(report))
    assert page.targets <= set(page.ids)
    assert "torn.ckpt" in page.text
    with pytest.raises(InputError, match=r"torn\.ckpt` is damaged"):
        read_report([torn])


def test_an_artifact_is_shown_once(workshop):
    path = workshop.checkpoint()
    assert len(read_report([path, path, workshop.copy(path, "copy.ckpt")]).shown) == 1


def test_parents_that_are_gone_are_in_the_chain(workshop):
    data = workshop.dataset()
    policy = workshop.checkpoint(data=[data])
    data.rename(workshop.folder / "elsewhere")
    report = read_report([policy])
    assert report.notes["data"] == "no dataset of this chain is on disk"
    assert "not on disk" in Outline(page_html(report)).text


def test_a_page_of_many_runs_stays_small(workshop):
    for seed in range(33):
        workshop.checkpoint(f"run-{seed}.ckpt", seed=seed, metrics=metrics(*[0.5] * 30))
    report = read_report([workshop.folder])
    text = page_html(report)
    assert report.graph is None
    assert "too many for one graph" in text
    assert len(text) < 1_500_000
    assert "(33 runs)" in text or "Success at the last step" in text
