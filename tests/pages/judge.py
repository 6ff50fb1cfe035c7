"""What two outside judges say of a page: axe-core in a real browser, html-validate of the document as served.

Both come from the tools folder that `.ci/run` fills. By hand, anywhere on PATH:
`npm install --prefix DIR axe-core html-validate`, then PATH=DIR/node_modules/.bin:$PATH.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.catalog.test_browser import CHROMIUM
from tests.pages.browser import Browser, running_browser

PHONE, DESK = 390, 1280
TAGS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
HERE = Path(__file__).parent
# Every text of a page but code, what is typed, and words that are folded away as they were written.
TEXTS = """(() => { const found = []; const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) { const text = walk.currentNode;
if (!text.parentElement.closest('code, pre, script, style, textarea, .original')) found.push(text.data); }
return found; })()"""
SENTENCE = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,;:]+[A-Za-z][A-Za-z'’-]*){3,}")  # four words or more
COMMAND = re.compile(r"hdex(?: [a-z-]+)+(?: [A-Z]+)*")
THEIRS = (  # what people of the stages wrote: it stays in their words
    "A defect of one column is looked into", "A paper and a report to the authority", "A question is open",
    "Encrypted at rest; named persons only", "Restenosis after carotid stenting", "The team is not trained",
    "Which vessels close again within a year", "Who is the contractor", "as it should be", "they say it is public",
    "Li Wei (data protection officer)", "the consent was withdrawn", "A lost laptop", "agreed with the buyer",
    "close again", "data protection officer", "Half of the rows are empty", "One column was empty",
    "The manifest says so", "Six rounds are enough", "the committee allows less", "each query paid",
)  # fmt: skip


def modules() -> Path | None:
    """Return the node_modules folder that holds both judges, None where they are not installed."""
    program = shutil.which("html-validate")
    if program is None or shutil.which("node") is None:
        return None
    found = next((up for up in Path(program).resolve().parents if up.name == "node_modules"), None)
    return found if found is not None and (found / "axe-core" / "axe.min.js").exists() else None


def missing() -> str:
    """Return why no page can be judged here, "" where it can."""
    if CHROMIUM is None:
        return "chromium is not installed"
    return "" if modules() is not None else "axe-core and html-validate are not installed"


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found wrong with one page. Nothing is what every test asks for."""

    invalid: list[str]  # against the HTML standard
    barriers: list[str]  # to people, by WCAG 2.2 AA and best practice
    wider: list[str]  # what sticks out of a phone's width
    console: list[str]
    foreign: list[str]  # sentences in English on a page in Chinese

    def faults(self) -> list[str]:
        """Return all of them."""
        return [*self.invalid, *self.barriers, *self.wider, *self.console, *self.foreign]


class Judge:
    """One browser, one validator, for as many pages as come."""

    def __init__(self, browser: Browser, validator: "subprocess.Popen[str]", axe: str) -> None:
        self.browser = browser
        self._validator = validator
        self._axe = axe

    def page(self, address: str, *, width: int = DESK, dark: bool = False) -> Judged:
        """Judge the page at an address at one width, in one scheme; whether it fits is always asked of a phone."""
        self.browser.look(width=width, dark=dark)
        html = self.browser.open(address)
        self.browser.evaluate(self._axe)
        barriers = self._barriers()
        self.browser.look(width=PHONE, dark=dark)
        return Judged(self.invalid(html), barriers, self._wider(), self.browser.console(), self._foreign())

    def invalid(self, html: str) -> list[str]:
        """Return what is wrong with a document against the HTML standard."""
        if self._validator.stdin is None or self._validator.stdout is None:
            raise RuntimeError("the validator has no pipes")
        self._validator.stdin.write(json.dumps({"html": html}) + "\n")
        self._validator.stdin.flush()
        return [str(one) for one in json.loads(self._validator.stdout.readline())]

    def _barriers(self) -> list[str]:
        options = json.dumps({"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]})
        shown = "found.violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary}`))"
        found = self.browser.evaluate(f"axe.run(document, {options}).then(found => {shown})")
        return [" ".join(str(one).split()) for one in found]

    def _foreign(self) -> list[str]:
        if not str(self.browser.evaluate("document.documentElement.lang")).startswith("zh"):
            return []
        texts = self.browser.evaluate(TEXTS)
        return [f"in English: {one}" for text in texts for one in SENTENCE.findall(without_theirs(text))]

    def _wider(self) -> list[str]:
        width = int(self.browser.evaluate("document.scrollingElement.scrollWidth"))
        return [] if width <= PHONE else [f"the page is {width} px wide on a phone of {PHONE} px"]


def without_theirs(text: str) -> str:
    """Return a page's text without what people wrote and without commands."""
    text = COMMAND.sub("", " ".join(text.split()))
    for one in THEIRS:
        text = text.replace(one, "")
    return text


@contextmanager
def sitting() -> Iterator[Judge]:
    """Yield the judge. Ask `missing()` first."""
    found = modules()
    if found is None:
        raise RuntimeError(missing())
    command = ["node", str(HERE / "validate.mjs"), str(found)]
    with (
        running_browser() as browser,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as validator,
    ):
        yield Judge(browser, validator, (found / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
