"""The auditor's pages through their own door: what they show, what they refuse; a stranger's text stays text."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.ledger.evidence_story import START, make_event
from tests.node.auditor_stage import NOW, Hall

from hdex.ledger.anomaly import Rule
from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.event import Action, Decision, Event
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.trust import trust_from_document
from hdex.ledger.verify import verify_evidence
from hdex.node.auditor_desk import Desk
from hdex.node.web.auditor_app import create_auditor_app
from hdex.node.web.auditor_path import steps
from hdex.node.web.auditor_views import Search
from hdex.node.web.auditor_words import table

BASE = "http://127.0.0.1:8480"
PATHS = ("/", "/events", "/logs/hospital-a/5", "/alerts", "/report")


class Office:
    """A desk over three hospitals and a browser before it."""

    def __init__(self, folder: Path, hall: Hall) -> None:
        self.hall, self.folder = hall, folder
        self.trust = trust_from_document(hall.auditor().trust(2))
        self.desk = Desk(hall.auditor(), self.trust, default_rules(), folder=folder / "desk", clock=lambda: NOW)
        self.browser = TestClient(create_auditor_app(self.desk), base_url=BASE, raise_server_exceptions=False)

    def page(self, path: str) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == 200, path
        return str(answer.text)

    def words(self, path: str) -> str:
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.page(path))).split())

    def again(self) -> int:
        (action,) = re.findall(r'action="(/read\?token=[^"]+)"', self.page("/"))
        return int(self.browser.post(action, follow_redirects=False).status_code)


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
def office(tmp_path: Path, hall: Hall) -> Iterator[Office]:
    made = Office(tmp_path, hall)
    with made.browser:
        yield made


@pytest.mark.parametrize("root", ["", "/zh"])
@pytest.mark.parametrize("path", PATHS)
def test_every_page_stands_in_both_languages_without_script_or_foreign_source(
    office: Office, path: str, root: str
) -> None:
    answer = office.browser.get(root + path)
    assert answer.status_code == 200
    assert f'lang="{"zh-Hans" if root else "en"}"' in answer.text
    assert not re.search(r"<script|\son\w+=|style=|(src|href)=\"(https?:)?//", answer.text)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert office.browser.get((root and path) or f"/zh{path}").status_code == 200  # the other language


def test_the_first_page_says_state_witnesses_and_anchor(office: Office) -> None:
    said = office.words("/")
    assert "Everything that was read verifies" in said
    assert "2 of 2 hospital-b, hospital-c · needed 2" in said
    assert "block 3" in said
    assert "1 h old when it was read" in said
    assert said.count("in order") == 3


def test_who_is_away_has_a_card(tmp_path: Path, hall: Hall) -> None:
    hall.logs.away = {"hospital-c"}
    said = Office(tmp_path, hall).words("/zh/")
    assert "无法读取该日志：peer-unavailable。" in said


def test_a_log_whose_anchor_is_late_and_one_that_nobody_cosigned_are_seen(tmp_path: Path, hall: Hall) -> None:
    hall.told.write("hospital-a", [make_event("hospital-a", 17, Action.AUDIT_READ)])
    hall.told.publish("hospital-a")  # cosigned, not anchored: its newest anchor is an hour old
    said = Office(tmp_path, hall).words("/")
    assert "1 entries after it" in said
    assert said.count("late") == 1


def test_a_forged_log_is_named_on_the_first_page(tmp_path: Path, hall: Hall) -> None:
    def change(entries: list[bytes]) -> None:
        entries[9] = entries[9].replace(b'"rows":', b'"rows":9')

    hall.logs.forged["hospital-b"] = change
    office = Office(tmp_path, hall)
    said = office.words("/")
    assert "What was read does not verify" in said
    assert "Entry 9 is not the one under the checkpoint of size 17" in said
    assert "alarm" in said


def test_reading_again_needs_the_page_s_own_token(office: Office) -> None:
    asked = len(office.hall.logs.asked)
    for path in ("/read", "/read?token=", "/read?token=guess", "/zh/read?token=guess"):
        assert office.browser.post(path).status_code == 403
    assert office.browser.get("/read?token=x").status_code == 405
    assert len(office.hall.logs.asked) == asked
    assert office.again() == 303
    assert len(office.hall.logs.asked) > asked


def test_when_nobody_answers_the_last_reading_stays(office: Office) -> None:
    office.page("/")
    office.hall.logs.away = {"hospital-a", "hospital-b", "hospital-c"}
    assert office.again() == 502
    assert "hospital-a" in office.words("/")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8480", "127.0.0.1.evil.example", ""])
def test_another_name_of_this_machine_is_refused(office: Office, host: str) -> None:
    assert office.browser.get("/", headers={"host": host}).status_code == 421
    assert office.browser.get("/evidence.zip", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8480"])
def test_its_own_names_are_answered(office: Office, host: str) -> None:
    assert office.browser.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("", 51),
        ("?log=hospital-a", 17),
        ("?decision=deny", 6),
        ("?action=grant.issue&log=hospital-b", 1),
        ("?grant=hospital-c-g", 15),
        ("?product=stents", 3),
        ("?since=2026-11-22", 0),
        ("?until=2026-11-21", 51),
        ("?action=%3Cscript%3E", 51),  # a code that no event can have asks nothing
        ("?page=abc&until=never", 51),
    ],
)
def test_a_search_finds_what_it_asks_for(office: Office, asked: str, count: int) -> None:
    said = office.words(f"/events{asked}")
    assert (f"{count} event" in said) if count else ("No event matches" in said)
    assert ("was left out" in said) == ("never" in asked)


def test_events_come_in_pages_newest_first(office: Office) -> None:
    first, second = office.page("/events"), office.page("/events?page=2")
    assert (first.count('class="event-name"'), second.count('class="event-name"')) == (50, 1)
    assert first.index("hospital-c/16") < first.index("hospital-a/16") < first.index("hospital-b/0")


def test_a_stranger_s_text_stays_text(tmp_path: Path, hall: Hall) -> None:
    evil = '"><script>alert(1)</script>'
    told = make_event("hospital-a", 20, Action.AUDIT_READ, product=evil, role=evil, decision=Decision.ALLOW)
    hall.told.write("hospital-a", [told])
    hall.publish("hospital-a")
    office = Office(tmp_path, hall)
    for path in ("/events", "/logs/hospital-a/17", f"/events?product={evil}", f"/events?log={evil}"):
        assert "<script" not in office.browser.get(path).text


def test_one_event_shows_its_fields_its_stages_and_its_path(office: Office) -> None:
    page, said = office.page("/logs/hospital-a/5"), office.words("/logs/hospital-a/5")
    assert "5 hashes lead from this entry to the root of size 17" in said
    assert page.count('class="p-sibling"') == 5
    assert page.count('class="reached"') == 5
    newest = office.page("/logs/hospital-c/16")  # nothing later was seen on the chain
    assert newest.count('class="reached"') == 4
    log = office.desk.reading().log("hospital-a")
    assert f"root {log.tree.root().hex()[:8]}" in said


def test_an_entry_after_the_checkpoint_is_durable_and_nothing_more(tmp_path: Path, hall: Hall) -> None:
    hall.told.write("hospital-a", [make_event("hospital-a", 17, Action.AUDIT_READ)])
    office = Office(tmp_path, hall)
    assert office.page("/logs/hospital-a/17").count('class="reached"') == 1
    assert "nothing proves it yet" in office.words("/logs/hospital-a/17")
    assert office.browser.get("/logs/hospital-a/17/proof.zip").status_code == 404


@pytest.mark.parametrize("path", ["/logs/hospital-a/17", "/logs/hospital-z/0", "/nowhere", "/zh/logs/hospital-a/-1"])
def test_what_is_not_there_has_its_own_page(office: Office, path: str) -> None:
    answer = office.browser.get(path)
    assert answer.status_code == 404
    assert ("页面不存在" if path.startswith("/zh") else "There is no such page") in answer.text


@pytest.mark.parametrize(
    ("path", "entries"), [("/logs/hospital-a/5/proof.zip", 1), ("/evidence.zip?decision=deny", 12)]
)
def test_downloads_are_verified_by_the_command_line_s_verifier(office: Office, path: str, entries: int) -> None:
    answer = office.browser.get(path)
    assert answer.headers["content-disposition"].startswith("attachment")
    kept = office.folder / "kept.zip"
    kept.write_bytes(answer.content)
    report = verify_evidence(kept, office.trust)
    assert report.verified, report.first_offence
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = [name for name in archive.namelist() if name.endswith("entries.jsonl")]
        assert sum(archive.read(name).count(b"\n") for name in found) == entries


def test_the_whole_evidence_is_what_the_command_line_would_write(office: Office) -> None:
    with zipfile.ZipFile(io.BytesIO(office.browser.get("/evidence.zip").content)) as archive:
        assert json.loads(archive.read("manifest.json"))["format"] == "hdex-evidence/1"


def test_alerts_are_listed_with_who_found_them(tmp_path: Path, hall: Hall) -> None:
    flood = [make_event("hospital-a", 20 + n, Action.AUDIT_READ, role="auditor") for n in range(80)]
    raised = make_event("hospital-a", 110, Action.ALERT_RAISE, reason="rate@17-60", decision=Decision.ALLOW)
    hall.told.write("hospital-a", [*flood, raised])
    hall.ledger.clock = lambda: START + timedelta(minutes=5)
    hall.told.now = START + timedelta(minutes=5)
    hall.told.publish("hospital-a")
    said = Office(tmp_path, hall).words("/alerts")
    assert "Far more than usual at this hour raised by the node hospital-a · 17–60" in said
    assert "found here" in said


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_the_drawn_steps_lead_to_the_root(size: int) -> None:
    tree = Tree(leaf_hash(bytes([n])) for n in range(size))
    for index in range(size):
        found = steps(tree.leaf(index), index, size, tree.inclusion_proof(index, size))
        assert (found[-1].result if found else tree.leaf(index)) == tree.root()


def test_a_search_s_address_leads_back_to_it() -> None:
    search = Search.read({"log": "a", "product": "p & q", "decision": "deny", "since": "2026-11-01", "page": "3"})
    assert search.address() == "log=a&product=p+%26+q&decision=deny&since=2026-11-01"
    assert search.address(page=4).endswith("page=4")


def test_every_action_and_field_has_its_words() -> None:
    assert [one.value for one in Action if one.value not in table()["action"]] == []
    assert [one.name for one in fields(Event) if one.name not in table()["field"]] == []
    assert [one.value for one in Rule if one.value not in table()["rule"]] == []
