"""Two sections of the certificate: every attacker who tried, and what the release is still worth."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from hdex.deid import plots
from hdex.deid.dossier import Dossier

Say = Callable[..., str]
REASONS = {
    "reason_elements": re.compile(
        r"level (?P<level>\d): (?P<count>\d+) columns: (?P<names>.*?)(?: and (?P<more>\d+) more)?"
        r"(?:, holding values of (?P<groups>.*))?"
    ),
    "reason_inclusion": re.compile(r"level (?P<level>\d): the inclusion criterion names (?P<group>.*) \(by .*\)"),
    "reason_direct": re.compile(r"level (?P<level>\d): (?P<count>\d+) columns identify directly"),
    "reason_unique": re.compile(
        r"level (?P<level>\d): the smallest class has (?P<k>\d+) patients, level 2 asks (?P<asked>\d+).*"
    ),
    "reason_minor": re.compile(r"level (?P<level>\d): patients under (?P<age>\d+) are in it: a guardian consents"),
}


def attackers(dossier: Dossier, say: Say, lang: str) -> str:
    """A table: attacker, what he tried, what he reached, by chance, what the preset's k allows."""
    keys = ("attacker", "tried", "reached", "chance", "allowed")
    head = "".join(f"<th>{say(key)}</th>" for key in keys)
    rows = "".join(_attempts(found, say, lang) for found in dossier.attacks)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""


def _attempts(found: Mapping[str, Any], say: Say, lang: str) -> str:
    """The rows of one attacker; his name stands before the first."""
    title = found["title_zh"] if lang == "zh" else found["title"]
    name = f"{escape(title)}<div class='faint'>{escape(', '.join(found['known']))}</div>"
    rows = []
    for number, one in enumerate(found["kinds"]):
        who = f"<td rowspan={len(found['kinds'])}>{name}</td>" if number == 0 else ""
        what = say(f"kind_{one['kind']}") + (f": {escape(one['column'])}" if one.get("column") else "")
        style = "" if one["rate"] <= one["bound"] + 1e-12 else " class='above'"
        shares = "".join(f"<td>{plots.percent(one[key])}</td>" for key in ("by_chance", "bound"))
        rows.append(f"<tr>{who}<td>{what}</td><td{style}>{plots.percent(one['rate'])}</td>{shares}</tr>")
    return "".join(rows)


def reason(text: str, say: Say) -> str:
    """Why a level was given (levels.py), in the words of the page; a reason that is not known reads as it stands."""
    for key, pattern in REASONS.items():
        if found := pattern.fullmatch(text):
            words = {name: value for name, value in found.groupdict().items() if value is not None}
            asked = key if key != "reason_elements" else f"{key}_more" if "more" in words else key
            told = say(asked, **words)
            return told + (say("reason_holding", groups=words["groups"]) if "groups" in words else "")
    return escape(text)


def worth(dossier: Dossier, say: Say) -> str:
    """A model's score before and after, and how columns hang together before and after."""
    parts = []
    model: Any = dossier.worth["model"]
    if model is not None:
        words = {key: f"{model[key]:.3f}" for key in ("score_before", "score_after", "baseline")}
        parts.append(f"<p>{say('model', target=model['target'], metric=say('metric_' + model['metric']), **words)}</p>")
    figures = {key: f"{dossier.worth[key]:.3g}" for key in ("nue", "kl", "discernibility", "aecs")}
    parts.append(f"<p>{say('measures_of_worth', **figures)}</p>")
    paired: Any = dossier.worth["correlation"]
    if len(paired["columns"]) > 1:
        drawn = "".join(
            f"<div><h3>{say(word)}</h3>{plots.heat(say('together'), paired['columns'], paired[word])}</div>"
            for word in ("before", "after")
        )
        parts.append(f"<p class='faint'>{say('together_note')}</p><div class='two'>{drawn}</div>")
    return "".join(parts)
