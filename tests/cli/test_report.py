"""`awac report`: outputs, exit codes, and the page in a real browser."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from awaccli.envs.opengl import open_gl
from awaccli.errors import RunError
from awaccli.stages.clips import clips

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TABS = 400
"""More than any page has places to stop at."""


def test_one_page_about_one_artifact(awac, linked):
    linked("result.json")
    linked("finetuned-online.zarr")
    result = awac("report", linked("finetuned.ckpt")).made("finetuned.html")
    assert "films left out: `finetuned-online.zarr` describes the task" in result.err
    assert "--trust-env" in result.err
    awac("report", "finetuned.ckpt").failed(4, "`finetuned.html` already exists", "--overwrite")
    first = Path("finetuned.html").read_bytes()
    awac("report", "finetuned.ckpt", "-q", "--overwrite").made("finetuned.html")
    assert Path("finetuned.html").read_bytes() == first


def test_what_was_made_as_an_object(awac, linked):
    paths = [str(linked(name)) for name in ("finetuned.ckpt", "result.json", "wide.zarr")]
    found = awac("report", "-", "--no-video", "-o", "x.html", "--json", stdin=paths).json
    assert (found["path"], found["size_bytes"]) == ("x.html", Path("x.html").stat().st_size)
    assert [(one["path"], one["kind"]) for one in found["artifacts"]] == [
        ("finetuned.ckpt", "checkpoint"),
        ("wide.zarr", "dataset"),
    ]
    assert found["left_out"]["films"] == "none were asked for"
    assert found["artifacts"][0]["success"]["high"] <= 1


def test_a_folder_out_of_another_one(awac, shelf):
    awac("report", shelf, "--no-video").made("report.html")
    text = Path("report.html").read_text(encoding="utf-8")
    for name in ("finetuned.ckpt", "pretrained.ckpt", "demos.h5", "wide.zarr"):
        assert name in text
    assert str(shelf.parent) not in text


def test_an_unfinished_run(awac, linked, monkeypatch):
    monkeypatch.setenv("STOP_AT", "3")
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    awac("collect-demos", "TOY", "--policy", "random", "-n", "9", "--workers", "1", "-o", "x.zarr")
    awac("report", "x.zarr.part", "--no-video").made("x.html")
    assert "3 episodes" in Path("x.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing.ckpt",), 3, "`nothing.ckpt` does not exist"),
        (("empty",), 3, "`empty` holds no artifact"),
        (("foreign.json",), 3, "`foreign.json` is not an awac artifact"),
        (("torn.zarr",), 3, "torn.zarr"),
        (("torn.zarr", "-o", "x.txt"), 2, "must end in .html"),
        (("torn.zarr", "-o", "no/x.html"), 2, "does not exist"),
        (("-",), 2, "no artifact on stdin"),
    ],
)
def test_what_no_page_can_be_made_of(awac, artifact, tmp_path, arguments, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign.json").write_text("{}")
    manifest = tmp_path / artifact("demos.zarr", "torn.zarr") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed":0', '"seed":1'))
    before = sorted(Path().iterdir())
    awac("report", *arguments, stdin=[]).failed(code, message)
    assert sorted(Path().iterdir()) == before


def test_films_are_small_and_the_same_every_time(tmp_path):
    try:
        open_gl()
    except RunError as error:
        pytest.skip(str(error))
    program = "import sys; sys.argv[1:] = 'collect-demos relocate --policy random -n 1 --horizon 6'.split()\n"
    program += "sys.argv += ['-o', 'hand.zarr']\nfrom awaccli.cli.app import main; main()"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    from awaccli.data.dataset import open_dataset

    dataset = open_dataset(tmp_path / "hand.zarr")
    (clip,) = clips(dataset)
    assert (clip.episode, clip.success, clip.steps, clip.diverged_at) == (0, False, 6, None)
    assert clip.media_type == "video/mp4"
    assert len(clip.content) < 100_000
    assert clips(dataset) == [clip]


@pytest.fixture(scope="module")
def chromium():
    """Return a real browser without a window."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: apt install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="the extra `test` brings playwright")
    with driver.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


_EVALUATED = {
    "eval/episodes": 20,
    "eval/success_final": 0.5,
    "eval/success_any": 0.75,
    "eval/success_held": 0.25,
    "eval/return_mean": -7.5,
    "q_gap": 0.5,
}


def _logged(phase, updates):
    counters = {"updates": updates, "env_steps": 5 * max(0, updates - 6), "wall_s": float(updates)}
    return {"phase": phase, "weights/ess": 0.99, "q/range_share": 0.2, "q/return_share": 0.3, **counters}


@pytest.fixture(scope="module")
def pages(shelf, tmp_path_factory):
    """Return the pages of one policy and of a folder."""
    from awaccli.protocols import Clip
    from awaccli.reports.report import read_report
    from awaccli.reports.report_page import page_html

    gif = bytes.fromhex(
        "47494638396101000100800000000000ffffff2c000000000100010000020244010 03b".replace(" ", "")
    )
    folder = tmp_path_factory.mktemp("pages")
    things = shutil.copytree(shelf, folder / "things")
    rows = [_logged("offline", updates) for updates in range(1, 7)]
    rows += [_logged("online", updates) | _EVALUATED for updates in range(6, 12)]
    log = "".join(json.dumps(row) + "\n" for row in rows)  # toys learn for too short a time to have one
    (things / "finetuned.ckpt" / "metrics.jsonl").write_text(log)
    for name, path in (("one", things / "finetuned.ckpt"), ("many", things)):
        found = read_report([path], film=lambda dataset: [Clip(0, True, 3, -1.0, None, "image/gif", gif)])
        (folder / f"{name}.html").write_text(page_html(found), encoding="utf-8")
    return folder


@pytest.fixture
def opened(chromium, pages):
    """Return a function that opens a page and minds what it does; it must do nothing but show itself."""
    contexts, said, asked = [], [], []

    def show(name, *, width=1200, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((pages / f"{name}.html").as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith(("file://", "data:")) for url in asked)
    assert sum(url.startswith("file://") for url in asked) == len(contexts)


@pytest.mark.parametrize("name", ["one", "many"])
@pytest.mark.parametrize("width", [360, 1200])
def test_a_page_is_never_wider_than_its_window(opened, name, width):
    page = opened(name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_colours_follow_the_system(opened):
    shown = {}
    for scheme in ("light", "dark"):
        page = opened("one", scheme=scheme)
        shown[scheme] = page.evaluate(
            "['body', '.tile', '.line.c0', '.box rect'].map(name => {"
            " const style = getComputedStyle(document.querySelector(name));"
            " return [style.backgroundColor, style.color, style.stroke, style.fill].join() })"
        )
    assert all(a != b for a, b in zip(shown["light"], shown["dark"], strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_what_is_behind_it(opened, scheme):
    """By the contrast that WCAG 2 asks of text, 4.5."""
    page = opened("one", scheme=scheme)
    ratios = page.evaluate(
        """() => {
        const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => {
            v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b };
        const behind = node => { for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if (!/, 0\\)$|transparent/.test(colour)) return colour } };
        return ['body', '.lead', 'nav a', '.tile strong', '.tile span', 'thead th', '.note', '.hint',
                '.legend', '.remark', '.remark b', 'summary', '.good', '.cards .file'].map(name => {
            const node = document.querySelector(name);
            const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
            return [name, (a + 0.05) / (b + 0.05)] }) }"""
    )
    assert [pair for pair in ratios if pair[1] < 4.5] == []


def test_a_keyboard_reaches_everything_and_shows_where_it_is(opened):
    page = opened("one")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    wanted = page.evaluate("document.querySelectorAll('a[href], summary, .scroll').length")
    reached = set()
    for _ in range(_TABS):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const node = document.activeElement; if (node === document.body) return null;"
            " const all = [...document.querySelectorAll('a[href], summary, .scroll')];"
            " const style = getComputedStyle(node);"
            " return [all.indexOf(node), style.outlineStyle, parseFloat(style.outlineWidth)] }"
        )
        if found is None:
            break
        assert (found[1], found[2] >= 2) == ("solid", True)
        reached.add(found[0])
    assert len(reached - {-1}) == wanted
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


@pytest.mark.parametrize("name", ["one", "many"])
def test_everything_has_a_name_and_every_link_a_target(opened, name):
    page = opened(name)
    lost = page.evaluate(
        "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        ".filter(href => !href.startsWith('#') || !document.getElementById(href.slice(1)))"
    )
    assert lost == []
    unnamed = page.evaluate(
        "[...document.querySelectorAll('svg, img, video, [tabindex]')].filter(node =>"
        " !node.getAttribute('aria-label') && !node.getAttribute('alt') && node.ariaHidden !== 'true')"
        ".map(node => node.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    assert page.evaluate("[...document.querySelectorAll('th')].every(cell => cell.scope)")
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert all(b - a <= 1 for a, b in pairwise(levels))
    page.click("nav a >> nth=-1")
    assert page.url.endswith("#data")


def test_no_script_runs_even_where_one_got_in(chromium, pages):
    text = (pages / "one.html").read_text(encoding="utf-8")
    bad = "<script>document.title = 'pwned'</script><img src=x onerror=\"document.title = 'pwned'\"></main>"
    (pages / "bad.html").write_text(text.replace("</main>", bad), encoding="utf-8")
    page = chromium.new_page()
    page.goto((pages / "bad.html").as_uri())
    assert page.title() == "finetuned.ckpt \u00b7 awac report"
    page.close()
