"""The page: hostile names stay text, nothing is fetched; in a browser it sorts, filters and stays silent."""

import json
import os
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser

import pytest

from tsdistill.report import write_report
from tsdistill.report.cells import Cell, Table
from tsdistill.report.html import html_table

HOSTILE = "<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>&amp;$x_2$\x07é"


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(record, failure, stored_in, tmp_path_factory):
    """A report's page, which no test changes."""
    records = [
        record(HOSTILE, method, seed, ap=0.5 + len(method) / 20)
        for method in ("kd", "tsd")
        for seed in (1, 2)
    ]
    records += [
        record("CBF", method, seed, ap=0.9 - len(method) / 20) for method in ("kd", "tsd") for seed in (1, 2)
    ]
    records += [failure("CBF", "<b>none</b>", 1, error="</table><script>alert(2)</script>")]
    out = stored_in(tmp_path_factory.mktemp("page"), records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tsdistill.report.figures.style.FORMATS", ("svg",))  # which the page holds
        return write_report(out).folder / "report.html"


def test_hostile_names_stay_text_and_nothing_is_fetched(page):
    text = page.read_text(encoding="utf-8")
    parser = _Elements()
    parser.feed(text)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 1
    assert not {"b", "link", "iframe", "object", "base"} & set(tags)
    addresses = [attrs["src"] for _, attrs in parser.found if "src" in attrs]
    assert addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert all(attrs["href"].startswith("#") for _, attrs in parser.found if "href" in attrs)
    assert not [name for _, attrs in parser.found for name in attrs if name.startswith("on")]
    assert "&lt;script&gt;document.title=&#x27;owned&#x27;" in text
    assert "\x07" not in text


def test_the_policy_lets_only_the_pages_own_script_run(page):
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src &#x27;none&#x27;; img-src data:;")
    assert "script-src &#x27;sha256-" in policy


def test_the_summary_comes_first_and_sections_fold(page):
    text = page.read_text(encoding="utf-8")
    parser = _Elements()
    parser.feed(text)
    sections = [attrs["id"] for tag, attrs in parser.found if tag == "section"]
    assert sections[:2] == ["summary", "protocol"]
    folds = [attrs for tag, attrs in parser.found if tag == "details"]
    assert len(folds) == len(sections)
    assert [name for name, attrs in zip(sections, folds, strict=True) if "open" not in attrs] == [
        "chosen",
        "setting",
    ]
    assert "AP: best mean kd and tsd (0.700), best average rank kd and tsd (1.50)" in text
    # by 0.05 kd is ahead on one set and tsd on the other, and two sets can show nothing
    assert "With 2 data sets no difference from tsd can be significant" in text


def test_numbers_carry_their_value_for_sorting():
    table = Table("k", "t", ("name", "AP"), [[Cell(text="a"), Cell(mean=1 / 3, std=0.1, place=1)]])
    assert '<td data-v="0.3333333333333333"><span class="best">0.333</span>' in html_table(table)


class _Browser:
    """Chromium, spoken to over a pipe: each message is JSON and ends with a zero byte."""

    def __init__(self, program, profile):
        here_in, there_out = os.pipe()
        there_in, here_out = os.pipe()
        for number in (there_in, there_out):
            os.set_inheritable(number, True)
        command = f'exec "$0" "$@" 3<&{there_in} 4>&{there_out}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            ["bash", "-c", command, program, *options, f"--user-data-dir={profile}"],
            pass_fds=(there_in, there_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(there_in)
        os.close(there_out)
        self._in, self._out = here_in, here_out
        self._rest, self._number, self._session = b"", 0, None
        self.events = []

    def _read(self):
        while b"\0" not in self._rest:
            read = os.read(self._in, 65536)
            if not read:
                raise RuntimeError("the browser has gone")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        return answer["result"]

    def open(self, address):
        self._session, self.events = None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)
        for _ in range(100):
            if self.value("document.readyState + location.protocol") == "completefile:":
                return
            time.sleep(0.05)

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on the PATH: the page is not tried in a browser")
    browser = _Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.process.terminate()
    browser.process.wait()


def test_in_a_browser_it_sorts_filters_and_stays_silent(page, browser):
    browser.open(page.as_uri())
    table = "document.querySelector('#t-average-precision-fcn-lstm-8')"
    column = f"Array.from({table}.tBodies[0].rows, row => row.cells[3].dataset.v)"
    before = browser.value(column)
    for turn, direction in enumerate(("ascending", "descending")):
        browser.value(f"{table}.tHead.rows[0].cells[3].querySelector('button').click()")
        assert browser.value(f"{table}.tHead.rows[0].cells[3].getAttribute('aria-sort')") == direction
        assert browser.value(column) == sorted(before, key=float, reverse=bool(turn))
    browser.value(
        "const input = document.querySelector('input[data-for=t-average-precision-fcn-lstm-8]');"
        "input.value = 'cbf'; input.dispatchEvent(new Event('input'))"
    )
    assert browser.value(f"Array.from({table}.tBodies[0].rows).filter(row => !row.hidden).length") == 1
    assert browser.value("document.title") == "Distillation report"
    assert browser.value(
        "Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)"
    )
    noise = [
        event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")
    ]
    assert not noise
    asked = {
        event["params"]["request"]["url"].split(":")[0]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data"}


@pytest.mark.parametrize("width", [390, 1400])
def test_in_a_browser_only_tables_and_figures_scroll_sideways(page, browser, width):
    browser.open(page.as_uri())
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
    )
    browser.value("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert browser.value("document.documentElement.scrollWidth") <= width
    beyond = (
        "Array.from(document.querySelectorAll('body *')).filter(each => !each.closest('.scroll')"
        " && each.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"
    )
    assert browser.value(beyond) == 0
    # a picture has at least the size that it was drawn for: 96 pixels an inch
    sizes = "Array.from(document.images, image => image.width / image.style.getPropertyValue('--inches'))"
    assert browser.value(f"Math.min(...{sizes})") >= 95


def test_in_a_browser_a_row_keeps_its_name_while_its_table_scrolls(page, browser):
    browser.open(page.as_uri())
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=True
    )
    box = "document.querySelector('#t-counts-fcn-lstm-8').parentElement"
    browser.value(f"{box}.scrollLeft = 100")
    assert browser.value(f"{box}.scrollLeft") == 100
    name = f"{box}.querySelector('tbody td')"
    left = browser.value(f"{name}.getBoundingClientRect().left - {box}.getBoundingClientRect().left")
    assert left == pytest.approx(0, abs=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_text_is_legible_in_either_scheme(page, browser, scheme):
    browser.open(page.as_uri())
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ground = _luminance(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.1) == (scheme == "dark")
    for chosen in ("h1", "nav a", ".label", "figcaption", ".notes", ".spread", "td", "th button"):
        text = _luminance(browser.value(f"getComputedStyle(document.querySelector('{chosen}')).color"))
        contrast = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        assert contrast >= 4.5, chosen


def _luminance(colour):
    """Relative luminance of ``rgb(r, g, b)`` as in WCAG 2."""
    parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
