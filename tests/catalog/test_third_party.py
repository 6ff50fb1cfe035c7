"""The script that others wrote is the one that the notice names, is small, and runs under rules that bind it."""

import hashlib
import html
import json
import re
from pathlib import Path

from fastapi.testclient import TestClient
from tests.catalog.samples import sample_catalogue, sample_status

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.web.app import create_app
from hdex.catalog.web.assets import Assets

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "catalog" / "hdex" / "catalog" / "web" / "static"
SCRIPTS = {"htmx.min.js", "live.js"}
MOST_BYTES = 50_000  # packed, together


def test_htmx_is_the_file_that_the_notice_names() -> None:
    notice = (ROOT / "docs" / "third-party.md").read_text(encoding="utf-8")
    content = (STATIC / "htmx.min.js").read_bytes()
    (version,) = re.findall(r"\| htmx, .*? \| ([0-9.]+) \|", notice)
    assert f"`{hashlib.sha256(content).hexdigest()}`" in notice
    assert f'version:"{version}"'.encode() in content
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE").read_text(encoding="utf-8")


def test_there_is_no_other_script_and_both_are_small() -> None:
    found = {path.name for room in ("catalog", "node") for path in (ROOT / room).rglob("*.js")}
    assets = Assets("hdex.catalog.web")
    assert found == SCRIPTS
    assert sum(assets.size(name) for name in SCRIPTS) < MOST_BYTES


def test_a_page_without_a_live_part_loads_no_script_and_none_has_one_inside() -> None:
    held = Catalogue(MemoryIndex())
    for product in sample_catalogue(2):
        held.publish(product.document(), b"{}")
    client = TestClient(create_app(held, contracts=list, status=sample_status))
    live = ("/products", "/contracts", "/status")
    for path in (*live, "/", "/products/hospital-a.carotid-stents", "/nowhere"):
        page = client.get(path).text
        assert len(re.findall(r"<script src=", page)) == (2 if path in live else 0), path
        ours = re.findall(r'<script src="/static/[^"]+" defer></script>', page)
        assert len(re.findall(r"<script", page)) == len(ours)
        assert not re.search(r"<style|\son[a-z]+=|\sstyle=|hx-on", page)


def test_htmx_may_not_evaluate_nor_ask_elsewhere_nor_keep_pages() -> None:
    held = (STATIC.parent / "templates" / "live.html").read_text(encoding="utf-8")
    (said,) = re.findall(r"<meta name=\"htmx-config\" content='([^']+)'>", held)
    rules = json.loads(html.unescape(said))
    assert rules["selfRequestsOnly"] is True
    assert rules["historyCacheSize"] == 0
    assert not any(rules[name] for name in ("allowEval", "allowScriptTags", "includeIndicatorStyles"))
