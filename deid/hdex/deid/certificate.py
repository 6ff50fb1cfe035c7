"""The certificate as one page: what was done, what risk is left, with plots. Opens and prints without a network."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from html import escape
from importlib.resources import files
from typing import cast

from hdex.deid import certificate_evidence, plots
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.report import Ceiling, ColumnReport, ReleaseReport

STYLE = """
:root{--ink:#1d2530;--faint:#5b6573;--line:#dfe3e8;--after:#176b78;--before:#b9532f;--paper:#fff}
*{box-sizing:border-box}
body{margin:0;background:#eef0f3;color:var(--ink);line-height:1.5;
font:15px/1.5 system-ui,"Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
main{max-width:860px;margin:24px auto;background:var(--paper);padding:40px 48px;border-radius:10px}
h1{margin:0 0 4px;font-size:26px;letter-spacing:-.01em}
h2{margin:34px 0 6px;font-size:17px}
p{margin:4px 0 10px}.faint{color:var(--faint);font-size:13px}
.badge{display:inline-block;background:var(--after);color:#fff;padding:4px 12px;border-radius:99px;font-weight:600}
.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:20px 0 0}
.figures div{border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.figures b{display:block;font-size:22px;font-variant-numeric:tabular-nums}.figures s{color:var(--before)}
.figures span{color:var(--faint);font-size:12.5px}
svg{width:100%;height:auto;display:block;margin-top:8px}
.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 5px 0 14px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{text-align:left;color:var(--faint);font-weight:500}th,td{padding:5px 8px 5px 0;border-bottom:1px solid var(--line)}
.levels{display:grid;grid-template-columns:64px 1fr;gap:6px 10px;margin-top:8px}
.levels>b{padding-top:4px;font-size:13px}
.chip{display:inline-block;border:1px solid var(--line);border-left:4px solid var(--c);border-radius:5px;
padding:2px 8px;margin:2px 4px 2px 0;font-size:12.5px}.chip i{color:var(--faint);font-style:normal}
.two{display:grid;grid-template-columns:1fr 1fr;gap:18px 28px}.two h3{margin:8px 0 0;font-size:13.5px}
.above{color:var(--before);font-weight:600}
section{break-inside:avoid}ul{margin:4px 0;padding-left:20px}
@page{size:A4;margin:14mm}
@media print{body{background:#fff;font-size:12px}main{margin:0;padding:0;max-width:none;border-radius:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}h2{margin-top:22px}}
@media(max-width:640px){main{padding:20px}.figures,.two{grid-template-columns:1fr 1fr}}
"""
COLOURS = {
    "pseudonymise": "#6a4c93",
    "remove": "#b9532f",
    "shift": "#2f7fb9",
    "coarsen": "#2f7fb9",
    "generalise": "#176b78",
    "redact": "#8c6d1f",
    "round": "#8a8f98",
    "keep": "#8a8f98",
}
STEPS = re.compile(r"(\d+)/(\d+)")
Words = dict[str, str | dict[str, str]]


@cache
def dictionary() -> dict[str, Words]:
    """Every word of the page, by language."""
    text = files("hdex.deid").joinpath("data/certificate.toml").read_text("utf-8")
    return cast("dict[str, Words]", tomllib.loads(text))


class Page:
    """Builds the page of one report in one language."""

    def __init__(self, report: ReleaseReport, lang: str) -> None:
        if lang not in dictionary():
            raise ArgumentInvalid(f"language {lang} is not known; there are {', '.join(dictionary())}")
        self.report = report
        self.lang = lang
        self._words = dictionary()[lang]

    def say(self, key: str, **values: object) -> str:
        """One phrase, escaped."""
        return escape(str(self._words[key]).format(**values))

    def name(self, group: str, key: str) -> str:
        """The name of an action, role, category, mode or measure, escaped; an unknown key reads as itself."""
        names = self._words[group]
        return escape(names.get(key, key) if isinstance(names, dict) else key)

    def section(self, key: str, *parts: str) -> str:
        """One block under its heading."""
        return f"<section><h2>{self.say(key)}</h2>{''.join(parts)}</section>"

    def faint(self, key: str, **values: object) -> str:
        """An explanation in small print."""
        return f'<p class="faint">{self.say(key, **values)}</p>'

    def legend(self) -> str:
        """Which colour is before and which after."""
        both = ((plots.BEFORE, "before"), (plots.AFTER, "after"))
        keys = "".join(f'<span class="key" style="background:{c}"></span>{self.say(word)}' for c, word in both)
        return f'<p class="faint">{keys}</p>'

    def head(self) -> str:
        """Title, verdict, levels and how it may be delivered."""
        report = self.report
        is_rows = report.risk_after is not None
        verdict = self.say("meets", preset=self.preset()) if is_rows else self.say("sums_only")
        level = self.say("level", before=report.level_before, after=report.level_after)
        modes = " · ".join(self.name("modes", mode) for mode in report.delivery_modes)
        reasons = "".join(f"<li>{certificate_evidence.reason(one, self.say)}</li>" for one in report.reasons)
        return (
            f'<h1>{self.say("title")}</h1><p><span class="badge">{verdict}</span> &ensp;<b>{level}</b></p>'
            f'<p class="faint">{self.say("delivery")}: {modes}</p>'
            f'<p class="faint">{self.say("reasons")}:</p><ul class="faint">{reasons}</ul>'
        )

    def preset(self) -> str:
        """The preset's name, not escaped: in words and as the policy file says it."""
        names, name = cast("dict[str, str]", self._words["presets"]), self.report.policy.name
        return f"{names[name]} ({name})" if name in names else name

    def figures(self) -> str:
        """The four numbers a director asks for."""
        report, after = self.report, self.report.risk_after
        cells = [
            (self.say("k"), report.risk_before.k, after.k if after else "–"),
            (self.say("unique"), report.risk_before.unique_rows, after.unique_rows if after else 0),
            (self.say("patients"), report.risk_before.patients, after.patients if after else "–"),
            (self.say("loss"), "0", f"{report.loss:.3f}" if after else "–"),
        ]
        inner = "".join(f"<div><b><s>{old}</s> {new}</b><span>{name}</span></div>" for name, old, new in cells)
        return f'<div class="figures">{inner}</div>'

    def attack(self) -> str:
        """The same attacker before and after."""
        before, after = self.report.attack_before, self.report.attack_after
        if before is None or after is None:
            return ""
        rows = [
            (str(self._words[key]), one.rate, colour, plots.percent(one.rate))
            for key, one, colour in (("before", before, plots.BEFORE), ("after", after, plots.AFTER))
        ]
        rows.append((str(self._words["chance"]), before.by_chance, plots.CHANCE, f"{before.by_chance:.2%}"))
        known = ", ".join(before.known)
        told = [self.say("found", count=one.reidentified, targets=one.targets) for one in (before, after)]
        alone = [self.say("singled", count=one.singled_out) for one in (before, after)]
        plot = plots.bars(str(self._words["attack"]), rows)
        found = f"<p>{told[0]}, {alone[0]} → {told[1]}, {alone[1]}</p>"
        return self.section("attack", self.faint("attack_note", known=known, targets=before.targets), plot, found)

    def risk(self) -> str:
        """Gauges against the preset."""
        if not self.report.ceilings:
            return ""
        rows = [(self.measure(one), one.found, one.asked) for one in self.report.ceilings]
        return self.section("risk", self.faint("risk_note"), plots.gauges(str(self._words["risk"]), rows))

    def measure(self, ceiling: Ceiling) -> str:
        """The name of one ceiling, not escaped."""
        names = cast("dict[str, str]", self._words["measures"])
        kind, _, column = ceiling.measure.partition(": ")
        return names["protection"].format(name=column) if column else names.get(kind, kind)

    def sizes(self) -> str:
        """Class sizes before and after."""
        after = self.report.risk_after
        if after is None:
            return ""
        k = self.report.policy.k
        plot = plots.class_sizes(str(self._words["sizes"]), self.report.risk_before.class_sizes, after.class_sizes, k)
        return self.section("sizes", self.faint("sizes_note", k=k), self.legend(), plot)

    def levels(self) -> str:
        """Columns by level with the action taken."""
        lines = []
        for level in range(5, 0, -1):
            here = [self.chip(one) for one in self.report.columns if one.level == level]
            if here:
                lines.append(f"<b>{self.say('level_word')} {level}</b><div>{''.join(here)}</div>")
        return self.section("columns", f'<div class="levels">{"".join(lines)}</div>')

    def chip(self, column: ColumnReport) -> str:
        """One column in the colour of what became of it."""
        action, _ = self.became(column)
        colour = COLOURS.get(action, "#8a8f98")
        became = self.name("actions", action)
        return f'<span class="chip" style="--c:{colour}">{escape(column.name)} <i>{became}</i></span>'

    def became(self, column: ColumnReport) -> tuple[str, str]:
        """The action that tells what became of a column, and how far it went, escaped: the steps of its hierarchy.

        A hierarchy of which no step was taken leaves the column as it is, whatever the plan was.
        """
        steps = STEPS.match(column.detail) if column.action == "generalise" else None
        if steps is None:
            return column.action, escape(column.detail)
        taken, height, rest = int(steps[1]), int(steps[2]), escape(column.detail[steps.end() :])
        if taken == 0:
            return "keep", rest.removeprefix(", ")
        how = self.say("all_alike") if taken == height else self.say("steps", taken=taken, height=height)
        return column.action, how + rest

    def table(self) -> str:
        """Every column in full."""
        keys = ("column", "role", "category", "level_word", "action", "detail")
        head = "".join(f"<th>{self.say(key)}</th>" for key in keys)
        rows = "".join(f"<tr>{self.row(one)}</tr>" for one in self.report.columns)
        return self.section("treatment", f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")

    def row(self, one: ColumnReport) -> str:
        """One line of the table."""
        action, detail = self.became(one)
        cells = (
            escape(one.name),
            self.name("roles", one.role),
            self.name("categories", one.category),
            str(one.level),
            self.name("actions", action),
            detail,
        )
        return "".join(f"<td>{cell}</td>" for cell in cells)

    def utility(self) -> str:
        """Distributions side by side."""
        report = self.report
        if not report.distributions:
            return ""
        note = self.faint(
            "utility_note", loss=f"{report.loss:.4f}", suppressed=report.suppressed, rows=report.rows_before
        )
        plotted = [
            f"<div><h3>{escape(one.column)} <span class='faint'>{self.say('distance', value=f'{one.distance:.3f}')}"
            f"</span></h3>{plots.pairs(one.column, one.labels, one.before, one.after)}</div>"
            for one in report.distributions
        ]
        return self.section("utility", note, self.legend(), f'<div class="two">{"".join(plotted)}</div>')

    def evidence(self) -> str:
        """Every attacker who tried, and what the release is still worth."""
        dossier = self.report.dossier
        if dossier is None:
            return ""
        table = certificate_evidence.attackers(dossier, self.say, self.lang)
        tried = self.section("attackers", self.faint("attackers_note"), table) if table else ""
        return tried + self.section("worth", certificate_evidence.worth(dossier, self.say))

    def checked(self) -> str:
        """The independent count, the residue and what was replaced in notes."""
        report, parts = self.report, []
        if report.verification is not None:
            found = report.verification
            words = self.say("verified", k=found.k, rows=found.rows, classes=found.classes, unique=found.unique)
            parts.append(f"<p>{words}</p><p>{self.say('residue', count=report.residue)}</p>")
        if report.redacted:
            kinds = ", ".join(f"{escape(kind)} {count}" for kind, count in sorted(report.redacted.items()))
            parts.append(f"<p>{self.say('redacted')}: {kinds}</p>")
        return self.section("checked", *parts) if parts else ""

    def remains(self) -> str:
        """What nobody has taken away: columns that leave as they are, notes, and what an attacker may know besides."""
        report, parts = self.report, [f"<p>{self.say('remains_note')}</p>"]
        names = [one.name for one in report.columns if self.became(one)[0] == "keep"]
        if names and report.risk_after is not None:
            parts.insert(0, f"<p>{self.say('remains_columns', names=', '.join(names))}</p>")
        if report.redacted:
            parts.insert(-1, f"<p>{self.say('remains_texts')}</p>")
        return self.section("remains", *parts)

    def html(self) -> str:
        """The whole page."""
        body = [self.head(), self.figures(), self.attack(), self.risk(), self.sizes(), self.levels(), self.table()]
        body += [
            self.utility(),
            self.evidence(),
            self.checked(),
            self.remains(),
        ]
        code = "zh-CN" if self.lang == "zh" else "en"
        return (
            f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{self.say('title')}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
        )


def render(report: ReleaseReport, lang: str) -> str:
    """The page of `report` in `lang`: en or zh."""
    return Page(report, lang).html()
