"""The monitor and the published HTTP formats over what really runs."""

import http.client
import json
import socket
import ssl
from pathlib import Path

import pytest
from tests.journeys.stage import Stage, patiently
from tests.node.consortium import hdex, told

from hdex.ledger.merkle import Tree
from hdex.ledger.note import Verifier, parse_checkpoint, parse_note, verify_note
from hdex.node.demo import acts_proof
from hdex.node.demo.setting import AUDITOR, HOSPITALS, TRUST_DOMAIN
from hdex.node.identity import server_name

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("studies")]


def fetch(stage: Stage, node: str, path: str) -> bytes:
    """Return a resource over HTTPS, the server asked for by name under the consortium's CA."""
    context = ssl.create_default_context(cafile=str(stage.setting.folder / "ca" / "ca.pem"))
    name, port = server_name(node, TRUST_DOMAIN), stage.setting.ports[node][1]
    connection = http.client.HTTPSConnection(name, port, timeout=30)
    connection.sock = context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname=name
    )
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, path
    return answer.read()


def test_a_log_is_rebuilt_from_its_tiles_under_its_cosigned_checkpoint(stage: Stage) -> None:
    stage.reach("ingest")
    node = HOSPITALS[0]
    patiently(lambda: acts_proof.audit(stage.memory))  # every log has a witnessed checkpoint then
    note = fetch(stage, node, "/checkpoint").decode()
    head = parse_checkpoint(note)
    key = stage.setting.keys[node].public("log")
    assert verify_note(note, [Verifier(head.origin, key)])
    assert len(parse_note(note).signatures) > 1
    leaves: list[bytes] = []
    for first in range(0, head.size, 256):
        width = min(256, head.size - first)
        data = fetch(stage, node, f"/tile/0/{first // 256:03}" + (f".p/{width}" if width < 256 else ""))
        leaves += [data[at : at + 32] for at in range(0, len(data), 32)]
    assert Tree(leaves).root() == head.root
    with pytest.raises(AssertionError, match="entries"):
        fetch(stage, node, "/tile/entries/000")


def test_the_monitor_finds_nothing_wrong_and_goes_on_where_it_stood(stage: Stage) -> None:
    stage.reach("ingest")
    patiently(lambda: acts_proof.audit(stage.memory))
    home = stage.setting.home(AUDITOR)
    arguments: list[str | Path] = [
        "audit",
        "monitor",
        "--config",
        stage.setting.config_file(AUDITOR),
        "--trust",
        home / "trust.json",
    ]
    arguments += ["--state", home / "monitor" / "state.json", "--once", "--json"]
    sizes: list[dict[str, int]] = []
    for _ in range(2):
        run = hdex(*arguments)
        report = json.loads(run.stdout)
        alarms = [alarm for alarm in report["alarms"] if alarm["severity"] == "alarm"]
        assert (alarms, run.returncode) == ([], 0), told(run)
        sizes.append(report["sizes"])
    assert all(sizes[1][node] > sizes[0][node] for node in sizes[0])  # each read is an event
