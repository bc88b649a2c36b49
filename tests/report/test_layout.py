"""The report's page on a wide screen and on a phone: by its rules, and in a browser where there is one."""

import json
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from jptycho.report.page import write_report

from .results import made_up

BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
MEASURE = """<script>window.onload = () => {
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom].map(Math.round); };
  const found = {width: innerWidth, scroll: document.documentElement.scrollWidth,
    panels: [...document.querySelectorAll('.panel')].map(box), images: [...document.images].map(box)};
  const note = document.createElement('output'); note.id = 'measured'; note.textContent = JSON.stringify(found);
  document.body.append(note); };</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs, with a script that says where its panels are."""
    path = tmp_path_factory.mktemp("layout") / "out.html"
    attributes = {**made_up().attributes, "objective": "loss: poisson", "configuration": "key = 1  # " + 200 * "x"}
    runs = {name: made_up(seed=seed, attributes=attributes) for seed, name in enumerate(("pixels", "dgp"))}
    write_report(path, runs, "Runs")
    path.write_text(path.read_text(encoding="utf-8").replace("</head>", f"{MEASURE}</head>"), encoding="utf-8")
    return path


def measured(page: Path, width: int) -> dict:
    """Where a browser of a width puts the panels."""
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    if browser is None:
        pytest.skip(f"no browser is at hand (one of {', '.join(BROWSERS)})")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},900"]
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    (found,) = re.findall(r'<output id="measured">(.*?)</output>', done.stdout)
    return json.loads(found)


def test_panels_stand_side_by_side_on_a_wide_screen(page: Path):
    found = measured(page, 1600)
    lefts = {left for left, *_ in found["panels"]}
    assert len(found["panels"]) == 7
    assert len(lefts) >= 2
    first, second = found["panels"][:2]
    assert first[1] == second[1]
    assert first[2] <= second[0]
    assert found["scroll"] <= found["width"]


def test_panels_stand_in_one_column_on_a_phone(page: Path):
    found = measured(page, 390)
    assert found["width"] <= 500
    assert len({left for left, *_ in found["panels"]}) == 1
    for above, below in zip(found["panels"], found["panels"][1:], strict=False):
        assert above[3] <= below[1]
    assert all(right <= found["width"] for _, _, right, _ in found["images"])
    assert found["scroll"] <= found["width"]


def test_the_rules_say_so_too():
    """Columns as wide as a panel needs and never wider than the screen; nothing else has a width in pixels."""
    text = resources.files("jptycho.report").joinpath("page.html").read_text(encoding="utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    rules = dict(re.findall(r"([^{}]+?)\s*\{\s*([^{}]*?)\s*\}", style.removeprefix("<style>")))
    rules = {name.strip(): rule for name, rule in rules.items()}
    assert "display: grid" in rules[".panels"]
    columns = re.search(r"repeat\(auto-fit, minmax\(min\(100%, (\d+)rem\), 1fr\)\)", rules[".panels"])
    assert columns is not None
    assert int(columns[1]) * 16 > 430  # of a phone's width: one column
    assert 2 * int(columns[1]) * 16 < 1280  # of a small laptop's: two
    assert "max-width: 100%" in rules["img"]
    assert "overflow-x: auto" in rules["pre"]
    assert not re.search(r"(?<!-)width:\s*\d+px", style)
    assert '<meta name="viewport" content="width=device-width' in text
