"""`hdex catalog evaluate` and `precheck` as a person or another system calls them."""

import json
from pathlib import Path

import pytest
import rdflib
from typer.testing import CliRunner

from hdex.node.cli.main import app, report

TURTLE = """@prefix odrl: <http://www.w3.org/ns/odrl/2/> . @prefix ex: <urn:ex:> .
ex:p a odrl:Set ; odrl:permission ex:r . ex:r odrl:action odrl:use ; odrl:target ex:x ; odrl:duty ex:d .
ex:d odrl:action odrl:attribute .
"""
POLICY = {
    "uid": "urn:ex:p",
    "permission": {
        "uid": "urn:ex:r",
        "action": "use",
        "target": "urn:ex:x",
        "constraint": {
            "leftOperand": "dateTime",
            "operator": "lt",
            "rightOperand": {"@value": "2027-01-01", "@type": "xsd:date"},
        },
    },
}
REQUEST = {"action": "read", "target": "urn:ex:x"}
WORLD = {"time": "2026-06-15T12:00:00Z"}


def run(folder: Path, *args: str, **files: object) -> tuple[int, str]:
    """Return the exit code and what was printed; files are written first, text as it is and the rest as JSON."""
    for name, held in files.items():
        text = held if isinstance(held, str) else json.dumps(held)
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    named = [str(folder / one) if (folder / one).exists() else one for one in args]
    done = CliRunner().invoke(app, ["catalog", *named])
    return done.exit_code, done.output


def test_an_answer_names_the_rule_and_every_verdict(tmp_path: Path) -> None:
    code, said = run(
        tmp_path, "evaluate", "p.json", "q.json", "--world", "w.json", "--json", p_json=POLICY, q_json=REQUEST,
        w_json=WORLD,
    )  # fmt: skip
    found = json.loads(said)
    assert (code, found["outcome"], found["rule"]) == (0, "permitted", "urn:ex:r")
    (rule,) = found["rules"]
    assert rule["activationState"] == "Active"
    assert {one["type"]: one["verdict"] for one in rule["premises"]} == {
        "TargetReport": "satisfied",
        "ActionReport": "satisfied",
        "ConstraintReport": "satisfied",
    }


def test_without_a_world_nothing_is_known_and_nothing_permitted(tmp_path: Path) -> None:
    code, said = run(tmp_path, "evaluate", "p.json", "q.json", p_json=POLICY, q_json=REQUEST)
    assert (code, said.splitlines()[0]) == (0, "outcome: undecided")
    assert "cannot be decided" in said


def test_turtle_goes_in_and_a_compliance_report_comes_out(tmp_path: Path) -> None:
    code, said = run(tmp_path, "evaluate", "p.ttl", "q.json", "--turtle", p_ttl=TURTLE, q_json=REQUEST)
    words = rdflib.Namespace("https://w3id.org/force/compliance-report#")
    report = rdflib.Graph().parse(data=said, format="turtle")
    (rule,) = report.subjects(words.rule, rdflib.URIRef("urn:ex:r"))
    assert (code, report.value(rule, words.activationState)) == (0, words.Active)
    (duty,) = report.objects(rule, words.conditionReport)
    assert report.value(duty, words.performanceState) == words.Unknown


def test_a_list_of_json_objects_is_one_document(tmp_path: Path) -> None:
    code, said = run(tmp_path, "evaluate", "p.json", "q.json", "--json", p_json=[POLICY], q_json=REQUEST)
    assert (code, json.loads(said)["outcome"]) == (0, "undecided")


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ("{", "cannot be read as JSON"),
        ('{"a": ' * 60 + "1" + "}" * 60, "cannot be read as JSON"),
        ("<a> <b>", "Turtle, line 1"),
        ({"uid": "urn:p"}, "no policy found"),
        ({"uid": "urn:p", "permission": {"mood": 1}}, "unknown field 'mood'"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, held: object, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "check", p_json=held, q_json=REQUEST)
    named = [str(tmp_path / one) for one in ("p.json", "q.json")]
    ended = CliRunner().invoke(app, ["catalog", "evaluate", *named])
    assert isinstance(ended.exception, Exception)
    assert report(ended.exception) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line


def test_a_precheck_says_why_and_what_next_in_both_languages(tmp_path: Path) -> None:
    terms, request = {"permitted": ["DUO:0000007"], "diseases": ["I63"]}, {"purpose": "DUO:0000007", "disease": "E11"}
    code, said = run(tmp_path, "precheck", "t.json", "q.json", "--json", t_json=terms, q_json=request)
    found = json.loads(said)
    assert (code, found["advice"], found["rule"]) == (0, "deny", "purpose.disease")
    assert found["why"]["zh"]
    assert found["next"]["en"]
    code, said = run(tmp_path, "precheck", "t.json", "q.json", t_json={"hmbResearch": True}, q_json={"poa": True})
    assert (code, said.splitlines()[0]) == (0, "advice: deny")


def test_a_precheck_may_be_asked_for_another_moment(tmp_path: Path) -> None:
    terms = {"permitted": ["DUO:0000006"], "expires": "2026-01-01T00:00:00Z"}
    asked = ("precheck", "t.json", "q.json", "--json", "--at")
    files = {"t_json": terms, "q_json": {"purpose": "DUO:0000006"}}
    said = [run(tmp_path, *asked, f"{year}-06-01T00:00:00Z", **files)[1] for year in (2025, 2026)]
    assert [json.loads(one)["advice"] for one in said] == ["approve", "deny"]
