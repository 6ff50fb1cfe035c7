"""report.html: whole, in two languages, on two pages, and it says what was measured."""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.closing_samples import DETAILS, EFFECTS, FIGURES, NO_DETAILS, NOTHING

from hdex.node.demo.closing import Details, Effect, Figures, Refusal
from hdex.node.demo.report import render, write_report
from hdex.node.demo.scales import Axis, bin_name, binned, entry_ticks, ratio_axis, ratio_ticks
from hdex.node.web.words import LANGUAGES, Words, entries, power, share, size

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --no-pdf-header-footer"
)
VOID = {"meta", "input"}
HOSTILE = "<script>alert('x')</script>\"&"
SENTENCES = ("asked", "claim")
SECTIONS = [name for name in entries() if name not in SENTENCES]


class Page(HTMLParser):
    """Reads a page, holds what it says per language, and what does not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.pointed: list[str] = []
        self.text: dict[str, list[str]] = {lang: [] for lang in LANGUAGES}
        self.lang = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self.tags[tag] += 1
        self.ids.update([held["id"] or ""] if "id" in held else [])
        self.pointed += (held.get("aria-labelledby") or "").split() + (held.get("for") or "").split()
        if tag == "article":
            self.lang = (held["class"] or "").split()[1]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)
        if tag == "article":
            self.lang = ""

    def handle_data(self, data: str) -> None:
        if self.lang:
            self.text[self.lang].append(data)

    def says(self, lang: str) -> str:
        return "\n".join(self.text[lang])


def hostile() -> tuple[Figures, Details]:
    """Return a run in which every name that comes from outside is an attack on the page."""
    figures = replace(FIGURES, refusals=[Refusal(HOSTILE, HOSTILE, HOSTILE)])
    return figures, replace(
        DETAILS,
        effects=[replace(EFFECTS[0], name=HOSTILE)],
        outcome=HOSTILE,
        patients_banded=HOSTILE,
        witnesses=[HOSTILE],
        chain_operator=HOSTILE,
        checked=[HOSTILE],
        not_checked=[HOSTILE],
        forged_log=HOSTILE,
        contradicted_by=HOSTILE,
        checkpoints=[(HOSTILE, 4, False), (HOSTILE, 5, True)],
        bytes_by_kind={HOSTILE: 5},
        columns_by_action={"1": {HOSTILE: 2}},
        files_by_level={HOSTILE: 1},
        regime=HOSTILE,
        steps=[(HOSTILE, 1.0)],
    )


def crowded() -> tuple[Figures, Details]:
    """Return a run with more of everything than the demo has."""
    logs = [f"hospital-{letter}" for letter in "abcdef"]
    refused = [
        Refusal(f"buyer-{n}", "a question that is put in rather many words " * 2, "purpose.x") for n in range(12)
    ]
    checked = [f"sentence {n}: that says of something rather long that it was looked at and holds" for n in range(30)]
    return replace(FIGURES, refusals=refused), replace(
        DETAILS,
        effects=[replace(EFFECTS[n % 6], name=f"factor {n}") for n in range(12)],
        checked=checked,
        not_checked=checked,
        checkpoints=[(log, size, False) for log in logs for size in range(1, 90, 3)] + [("hospital-a", 88, True)],
        bytes_by_kind={f"kind {n}": 10**n for n in range(9)},
        steps=[(f"a step with a name of some length, number {n}", n / 7) for n in range(40)],
    )


RUNS = {
    "usual": (FIGURES, DETAILS),
    "nothing": (NOTHING, NO_DETAILS),
    "forgery not found": (replace(FIGURES, forged_log_found=None), replace(DETAILS, contradicted_by="")),
    "no effects": (FIGURES, replace(DETAILS, effects=[], outcome="")),
    "hostile": hostile(),
    "crowded": crowded(),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_page_nests_and_its_references_exist(run: str) -> None:
    page = Page(render(*RUNS[run]))
    assert (page.open, page.wrong) == ([], [])
    assert max(page.ids.values()) == 1
    assert set(page.pointed) <= set(page.ids)


@pytest.mark.parametrize("run", RUNS)
def test_the_page_asks_nothing_of_the_network_and_runs_nothing(run: str) -> None:
    page = render(*RUNS[run])
    assert re.findall(r"https?:|url\(|@import|src=|href=", page) == []
    assert re.search(r"<script|\son[a-z]+=", page) is None


def test_what_comes_from_outside_is_escaped() -> None:
    page = render(*hostile())
    assert "alert" in page
    assert HOSTILE not in page
    assert Page(page).tags["script"] == 0


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_figures_shown_are_the_figures_measured(lang: str) -> None:
    said = Page(render(FIGURES, DETAILS)).says(lang)
    for shown in ["87.3%", "0.9%", "0.1%", "2,551", "38,214", "1 → 11", "1,893 → 0", "184 kB", "800-900", "412", "23"]:
        assert shown in said
    for shown in ["61", "126", "34", "48.7", "37", "9 · 21 · 34 · 17 · 3", "2.31 (1.72–3.10)", "3.1×10⁻¹³"]:
        assert shown in said
    for refusal in FIGURES.refusals:
        assert refusal.rule in said


@pytest.mark.parametrize(("lang", "words"), [("en", "Raw rows that left: 0."), ("zh", "流出的原始记录：0 行。")])
def test_the_headline_says_what_happened_and_that_no_raw_row_left(lang: str, words: str) -> None:
    assert words in Page(render(FIGURES, DETAILS)).says(lang)


def test_a_raw_row_that_left_is_told_in_red() -> None:
    page = render(replace(FIGURES, raw_rows_left=7), DETAILS)
    assert '<span class="bad">Raw rows that left: 7.</span>' in page
    assert '<p class="big bad">7 raw rows</p>' in page


def test_a_run_without_an_answer_does_not_claim_one() -> None:
    said = Page(render(NOTHING, NO_DETAILS)).says("en")
    assert "nothing was answered or delivered" in said
    assert "not verified" in said
    assert "withdrawal not honoured" in said
    assert "Nobody was refused" in said


def test_every_picture_tells_its_title_and_has_a_table_beside_it() -> None:
    page = render(FIGURES, DETAILS)
    drawn = re.findall(r'<svg viewBox="[^"]+" role="img" aria-labelledby="\S+ \S+" class="picture"><title', page)
    assert len(drawn) == 6 * len(LANGUAGES)
    assert page.count('<details class="twin">') == len(drawn)
    assert page.count("<desc ") == len(drawn)


def test_the_forest_draws_two_marks_per_row() -> None:
    page = render(FIGURES, DETAILS)
    for mark in ("pooled", "ring", "fed"):
        assert len(re.findall(rf' class="{mark}"', page)) == len(EFFECTS) * len(LANGUAGES)


def test_an_interval_without_an_end_is_left_out_and_does_not_fail() -> None:
    endless = Effect("rare", float("inf"), 0.0, float("inf"), 1.0, 0.5, 2.0)
    assert "rare" in render(FIGURES, replace(DETAILS, effects=[endless]))


def test_the_forged_log_is_red_and_says_who_contradicts() -> None:
    page = render(FIGURES, DETAILS)
    assert page.count('class="forged"') == len(LANGUAGES)
    assert page.count('class="cross"') == 3 * len(LANGUAGES)
    for line in ("forged from entry 37", "contradicted by hospital-b, hospital-c", "被 hospital-b, hospital-c 反证"):
        assert f">{line}</text>" in page


@pytest.mark.parametrize("section", SECTIONS)
def test_every_word_has_both_languages_and_the_same_gaps(section: str) -> None:
    gap = re.compile(r"\{(\w+)\}")
    for name, words in entries()[section].items():
        assert set(words) == set(LANGUAGES), name
        assert all(text.strip() for text in words.values()), name
        assert set(gap.findall(words["en"])) == set(gap.findall(words["zh"])), name


@pytest.mark.parametrize("section", SENTENCES)
def test_every_sentence_from_outside_has_both_languages(section: str) -> None:
    for claim in entries()[section]:
        assert set(claim) - {"counted"} == {"pattern", *LANGUAGES}
        gaps = set(re.compile(claim["pattern"]).groupindex) - {"each"}
        for lang in LANGUAGES:
            assert set(re.findall(r"\{(\w+)\}", claim[lang])) <= gaps


def test_the_same_claim_of_several_logs_is_told_once() -> None:
    told = Words("zh").claims(DETAILS.checked)
    assert len(told) == 7
    assert all(claim.is_translated for claim in told)
    assert told[1].logs == tuple(
        f"{log} ({80 + n})" for n, log in enumerate(dict.fromkeys(c[0] for c in DETAILS.checkpoints))
    )


def test_an_unknown_claim_is_told_as_it_is() -> None:
    (told,) = Words("zh").claims(["hospital-a: the moon was full"])
    assert (told.text, told.is_translated, told.logs) == ("the moon was full", False, ("hospital-a",))


def test_a_refusal_says_what_was_asked_and_what_the_rule_means() -> None:
    refused = [Refusal("stranger", "next range of c-1", "contract.revoked"), Refusal("x", "a < b", "rule.nobody-knows")]
    said = Page(render(replace(FIGURES, refusals=refused), DETAILS)).says("zh")
    for words in ("外来节点", "合同 c-1 的下一段数据", "合同已撤销", "contract.revoked", "a < b", "rule.nobody-knows"):
        assert words in said


def test_both_languages_write_the_same_numbers_in_the_pictures() -> None:
    page = render(FIGURES, DETAILS)
    drawn = {lang: re.findall(rf'aria-labelledby="\w+-{lang}-title.*?</svg>', page) for lang in LANGUAGES}
    numbers = {lang: re.findall(r'class="(?:n|x)[^>]*>([\d.,%]+)<', "".join(drawn[lang])) for lang in LANGUAGES}
    assert len(numbers["en"]) > 20
    assert numbers["en"] == numbers["zh"]


@given(st.dictionaries(st.integers(1, 5000), st.integers(1, 500)))
def test_the_bins_hold_every_row_once(sizes: dict[int, int]) -> None:
    bins = binned(sizes)
    assert sum(rows for _, rows in bins) == sum(s * n for s, n in sizes.items())
    assert sum(classes for classes, _ in bins) == sum(sizes.values())


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)), st.floats(0.001, 1000))
def test_what_is_drawn_stays_inside_the_picture(values: list[float], value: float) -> None:
    axis = ratio_axis(values, 6, 394)
    assert 6 <= axis.at(value) <= 394
    assert 1.0 in ratio_ticks(axis)


@given(st.integers(0, 10**9))
def test_the_ticks_of_a_log_are_few_and_inside(largest: int) -> None:
    ticks = entry_ticks(largest)
    assert ticks[0] == 0
    assert len(ticks) <= 6
    assert ticks[-1] <= largest


def test_a_logarithmic_axis_puts_the_geometric_mean_in_the_middle() -> None:
    assert Axis(1, 100, 0, 200, is_log=True).at(10) == pytest.approx(100)


def test_figures_are_written_with_the_digits_that_matter() -> None:
    assert [share(v) for v in (0, 0.0004, 0.0012, 0.873, 1)] == ["0%", "0.04%", "0.1%", "87.3%", "100%"]
    assert [size(n) for n in (0, 999, 9_216, 184_320, 1_384_448)] == ["0 B", "999 B", "9.2 kB", "184 kB", "1.4 MB"]
    assert [power(v) for v in (0, 3.1e-13, 2.0)] == ["0", "3.1×10⁻¹³", "2.0×10⁰"]
    assert [bin_name(1, 1), bin_name(2, 4), bin_name(50, None)] == ["1", "2–4", "50+"]


def test_the_report_is_written_whole_and_replaces_the_last(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, NOTHING, NO_DETAILS)
    write_report(path, FIGURES, DETAILS)
    assert path.read_text(encoding="utf-8") == render(FIGURES, DETAILS)
    assert list(tmp_path.iterdir()) == [path]


def in_chinese(page: str) -> str:
    """Return the page as it is after the reader chose Chinese."""
    return page.replace(" checked/>", "/>").replace('id="lang-zh"', 'id="lang-zh" checked')


def chromium(tmp_path: Path, page: str, *asked: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), *QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}", *asked, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("run", "lang"), [("usual", "en"), ("usual", "zh"), ("nothing", "en"), ("crowded", "zh")])
def test_the_report_prints_on_two_pages(tmp_path: Path, run: str, lang: str) -> None:
    page = render(*RUNS[run])
    chromium(tmp_path, in_chinese(page) if lang == "zh" else page, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())) == 2


FITS = """<script>addEventListener('load', () => {
  const lang = document.getElementById('lang-zh').checked ? 'zh' : 'en';
  const sheets = [...document.querySelectorAll('.' + lang + ' .sheet')];
  document.title = 'over ' + sheets.map(s => s.scrollHeight - s.clientHeight).join(' ') +
    ' wide ' + (document.documentElement.scrollWidth - innerWidth);
});</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("run", "lang"), [("usual", "zh"), ("crowded", "en")])
def test_nothing_is_cut_off_on_paper(tmp_path: Path, run: str, lang: str) -> None:
    """The printed sheets are of fixed height: lay them out on a screen as wide as the paper's text and measure."""
    page = (
        render(*RUNS[run]).replace("@media print", "@media all").replace("script-src", "").replace("default-src", "x")
    )
    page = (in_chinese(page) if lang == "zh" else page).replace("</body>", FITS + "</body>")
    done = chromium(tmp_path, page, "--window-size=695,1040", "--dump-dom")
    over = re.search(r"<title>over (-?\d+) (-?\d+)", done.stdout)
    assert over is not None
    assert [int(over[1]), int(over[2])] == [0, 0]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_is_no_wider_than_the_screen(tmp_path: Path, width: int) -> None:
    page = render(FIGURES, DETAILS).replace("default-src", "x").replace("</body>", FITS + "</body>")
    done = chromium(tmp_path, page, f"--window-size={width},900", "--dump-dom")
    found = re.search(r"<title>over .* wide (-?\d+)</title>", done.stdout)
    assert found is not None
    assert int(found[1]) <= 0
