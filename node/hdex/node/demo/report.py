"""report.html: what happened, on two pages, in English and Chinese, in one file that asks nothing of the network."""

from importlib.resources import files
from pathlib import Path

from hdex.node.demo import cards, pictures
from hdex.node.demo.closing import Details, Figures, Refusal
from hdex.node.demo.pictures import Told, swatch
from hdex.node.demo.scales import BINS, bin_name, binned
from hdex.node.durable import write_atomic
from hdex.node.web.markup import Markup, join, table, tag
from hdex.node.web.words import LANGUAGES, Claim, Words, count, power, share, size

TAGS = {"en": "en", "zh": "zh-Hans"}
NAMES = {"en": "English", "zh": "中文"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
PAPER_REFUSALS, PAPER_CLAIMS, PAPER_STEPS = 6, 7, 24  # what fits on two sheets; the file shows all


def write_report(path: Path, figures: Figures, details: Details) -> None:
    """Write the report, whole or not at all."""
    write_atomic(path, render(figures, details).encode(), mode=0o644)


def render(figures: Figures, details: Details) -> str:
    """Return the report as one page."""
    title = " · ".join(Words(lang).say("page.title") for lang in LANGUAGES)
    style = Markup(files("hdex.node.demo").joinpath("style.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"hdex · {title}"),
        tag("style", style),
    )
    articles = (article(figures, details, Words(lang)) for lang in LANGUAGES)
    body = tag("body", switches(), bar(), tag("main", *articles))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def switches() -> Markup:
    """Return the language switch's state: radio inputs that the style sheet reads."""
    return join(
        tag(
            "input",
            type="radio",
            name="lang",
            id=f"lang-{lang}",
            class_="pick",
            autocomplete="off",
            aria_label=NAMES[lang],
            checked=lang == LANGUAGES[0],
        )
        for lang in LANGUAGES
    )


def bar() -> Markup:
    """Return the line above all: the name and the language switch."""
    labels = (tag("label", NAMES[lang], for_=f"lang-{lang}", lang=TAGS[lang]) for lang in LANGUAGES)
    return tag("header", tag("span", "hdex", class_="brand"), tag("div", *labels, class_="languages"), class_="bar")


def article(figures: Figures, details: Details, words: Words) -> Markup:
    """Return everything in one language."""
    first = tag(
        "div",
        headline(figures, details, words),
        cards.all_cards(figures, details, words),
        tag("h2", words.say("page.pictures"), class_="hidden"),
        tag("div", *(one(figures, details, words) for one in (attack, classes, columns, wall)), class_="pictures"),
        class_="sheet",
    )
    second = tag(
        "div",
        tag("div", forest(figures, details, words), logs(figures, details, words), class_="pictures"),
        refusals(figures.refusals, words),
        audit(details, words),
        steps(details, words),
        tag("p", words.say("page.note"), class_="note"),
        class_="sheet dense" if is_crowded(figures, details, words) else "sheet",
    )
    return tag("article", first, second, lang=TAGS[words.lang], class_=f"say {words.lang}")


def is_crowded(figures: Figures, details: Details, words: Words) -> bool:
    """Return whether the second sheet has to be set closer to hold everything."""
    most = max(len(words.claims(details.checked)), len(words.claims(details.not_checked)))
    return len(details.effects) > 7 or len(figures.refusals) > 5 or most > PAPER_CLAIMS or len(details.steps) > 21


def headline(figures: Figures, details: Details, words: Words) -> Markup:
    """Return what happened in one sentence, the raw rows that left, and the run's facts."""
    told = {(True, True): "both", (True, False): "question", (False, True): "product", (False, False): "none"}
    key = told[bool(figures.rounds and details.effects), figures.bytes_delivered > 0]
    raw = words.say("page.raw", rows=count(figures.raw_rows_left))
    facts = words.say(
        "page.facts",
        records=count(figures.records),
        products=count(figures.products),
        contracts=count(figures.contracts),
        seconds=f"{figures.seconds:.1f}",
        restarts=count(details.restarts),
    )
    return tag(
        "div",
        tag("p", words.say("page.tagline"), class_="kicker"),
        tag(
            "h1",
            words.say(f"page.headline_{key}", hospitals=count(figures.hospitals)),
            " ",
            tag("span", raw, class_="bad" if figures.raw_rows_left else "good"),
        ),
        tag("p", facts, class_="facts"),
        tag("p", words.say("page.regime", regime=words.name("regime", details.regime)), class_="facts")
        if details.regime
        else "",
        class_="headline",
    )


def figure(name: str, words: Words, message: str, *parts: str, twin: Markup | None = None) -> Markup:
    """Return a picture with its heading, its message and its twin as a table."""
    caption = tag("figcaption", tag("h3", words.say(f"{name}.title")), tag("p", message))
    details = tag("details", tag("summary", words.say("page.figures")), twin, class_="twin") if twin else ""
    return tag("figure", caption, *parts, details)


def attack(figures: Figures, details: Details, words: Words) -> Markup:
    values = {"before": figures.attack_before, "after": figures.attack_after, "chance": figures.attack_chance}
    message = words.say("attack.message", **{key: share(value).rstrip("%") for key, value in values.items()})
    told = Told(words.say("attack.title"), message)
    rows = [(words.say(f"attack.{key}"), share(value)) for key, value in values.items()]
    twin = table((words.say("attack.case"), words.say("attack.head")), rows)
    return figure("attack", words, message, pictures.attack(figures, words, told), twin=twin)


def classes(figures: Figures, details: Details, words: Words) -> Markup:
    if not details.class_sizes_before and not details.class_sizes_after:
        return figure("classes", words, words.say("classes.message_empty"))
    message = words.say("classes.message", before=count(figures.k_before), after=count(figures.k_after))
    old, new = binned(details.class_sizes_before), binned(details.class_sizes_after)
    heads = ("size", "rows_before", "rows_after", "classes_before", "classes_after")
    rows = [
        (bin_name(*ends), count(was[1]), count(now[1]), count(was[0]), count(now[0]))
        for ends, was, now in zip(BINS, old, new, strict=True)
    ]
    drawn = pictures.classes(figures, details, words, Told(words.say("classes.title"), message))
    legend = tag("ul", swatch("old", words.say("page.before")), swatch("new", words.say("page.after")), class_="legend")
    twin = table([words.say(f"classes.{head}") for head in heads], rows)
    return figure("classes", words, message, drawn, legend, twin=twin)


def columns(_figures: Figures, details: Details, words: Words) -> Markup:
    message = words.say("columns.message", columns=count(sum(pictures.totals(details).values())))
    shades = pictures.shades(details)
    drawn = pictures.columns(details, words, Told(words.say("columns.title"), message))
    names = {action: words.name("action", action) for action in shades}
    legend = tag("ul", *(swatch(f"seg r{shade}", names[a]) for a, shade in shades.items()), class_="legend")
    heads = (words.say("columns.level_head"), *names.values(), words.say("columns.all"))
    rows = [column_row(level, list(shades), details, words) for level in range(1, 6)]
    return figure("columns", words, message, drawn, legend, twin=table(heads, rows))


def column_row(level: int, actions: list[str], details: Details, words: Words) -> list[str]:
    """Return one level of the twin: its columns per action and in all."""
    held = details.columns_by_action.get(str(level), {})
    numbers = [held.get(action, 0) for action in actions]
    return [words.say("columns.level", level=level), *(count(number) for number in [*numbers, sum(numbers)])]


def wall(figures: Figures, details: Details, words: Words) -> Markup:
    rows_left = words.say("wall.raw_value", rows=count(figures.raw_rows_left))
    total = size(sum(details.bytes_by_kind.values()))
    message = words.say("wall.message", bytes=total, rows=count(figures.raw_rows_left))
    kinds = sorted(details.bytes_by_kind.items(), key=lambda item: -item[1])
    rows = [(words.say("wall.raw"), rows_left), *((words.name("kind", kind), count(n)) for kind, n in kinds)]
    twin = table((words.say("wall.kind"), words.say("wall.bytes")), rows)
    told = Told(words.say("wall.title"), message)
    axis = tag("p", words.say("wall.axis"), class_="under")
    return figure("wall", words, message, pictures.wall(figures, details, words, told), axis, twin=twin)


def forest(figures: Figures, details: Details, words: Words) -> Markup:
    if not details.effects:
        return figure("forest", words, words.say("forest.empty"))
    outcome = words.name("factor", details.outcome)
    message = words.say("forest.message", outcome=outcome, difference=power(figures.max_coefficient_difference))
    rows = [
        (
            words.name("factor", e.name),
            f"{e.odds_ratio:.4g} ({e.low:.4g}–{e.high:.4g})",
            f"{e.pooled_odds_ratio:.4g} ({e.pooled_low:.4g}–{e.pooled_high:.4g})",
        )
        for e in details.effects
    ]
    names = (words.say("forest.federated"), words.say("forest.pooled"))
    legend = tag("ul", swatch("new", names[0]), swatch("halo-box", names[1]), class_="legend")
    drawn = pictures.forest(details.effects, words, Told(words.say("forest.title"), message))
    return figure("forest", words, message, drawn, legend, twin=table((words.say("forest.factor"), *names), rows))


def logs(figures: Figures, details: Details, words: Words) -> Markup:
    if not details.checkpoints:
        return figure("logs", words, words.say("logs.empty"))
    message = logs_message(figures, details, words)
    names = dict.fromkeys(log for log, _, _ in details.checkpoints)
    rows = [(name, *checkpoint_cells(name, details, words)) for name in names]
    twin = table((words.say("logs.log"), words.say("logs.sizes"), words.say("logs.forged_mark")), rows)
    marks = (swatch("new", words.say("logs.honest")), swatch("wrong", words.say("logs.forged_mark")))
    drawn = pictures.logs(figures, details, words, Told(words.say("logs.title"), message))
    return figure("logs", words, message, drawn, tag("ul", *marks, class_="legend"), twin=twin)


def logs_message(figures: Figures, details: Details, words: Words) -> str:
    """Return what became of the forgery."""
    if figures.forged_log_found is None:
        key = "logs.message_missed" if details.forged_log else "logs.message_none"
        return words.say(key, log=details.forged_log)
    by = details.contradicted_by or words.say("proof.nobody")
    return words.say("logs.message", log=details.forged_log, index=count(figures.forged_log_found), by=by)


def checkpoint_cells(name: str, details: Details, words: Words) -> tuple[str, str]:
    """Return one log's checkpoint sizes: cosigned, forged."""
    held = [(entries, forged) for log, entries, forged in details.checkpoints if log == name]
    sides = (words.listed(count(entries) for entries, forged in held if forged is side) for side in (False, True))
    honest, wrong = (side or words.say("page.none") for side in sides)
    return honest, wrong


def refusals(refused: list[Refusal], words: Words) -> Markup:
    """Return who was refused, what, and by which rule."""
    head = tag("h2", words.say("refused.title"))
    if not refused:
        return tag("section", head, tag("p", words.say("refused.none")), class_="block")
    heads = (tag("th", words.say(f"refused.{key}"), scope="col") for key in ("who", "what", "rule"))
    rows = [
        tag(
            "tr",
            tag("th", words.name("who", one.who), scope="row"),
            tag("td", words.asked(one.what)),
            tag("td", tag("span", words.meaning(one.rule), " ", class_="meaning"), tag("code", one.rule)),
            class_="beyond" if number >= PAPER_REFUSALS else None,
        )
        for number, one in enumerate(refused)
    ]
    held = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="refusals")
    return tag("section", head, held, more(len(rows) - PAPER_REFUSALS, words), class_="block")


def more(hidden: int, words: Words) -> Markup:
    """Return the line that paper shows where the file holds more."""
    return tag("p", words.say("page.more", count=count(hidden)), class_="paper-more") if hidden > 0 else Markup()


def audit(details: Details, words: Words) -> Markup:
    """Return what was checked and what was not, side by side."""
    sides = (("checked", details.checked), ("not_checked", details.not_checked))
    parts = (
        tag("section", tag("h2", words.say(f"audit.{key}")), claims(words.claims(held), key, words), class_="block")
        for key, held in sides
    )
    return tag("div", *parts, class_="pair")


def claims(held: list[Claim], kind: str, words: Words) -> Markup:
    """Return an audit's sentences as a list, those beyond the paper marked."""
    items = (
        tag(
            "li",
            tag("span", one.text, lang=None if one.is_translated else "en"),
            tag("small", words.listed(one.logs)) if one.logs else "",
            class_="beyond" if number >= PAPER_CLAIMS else None,
        )
        for number, one in enumerate(held)
    )
    listed = tag("ul", *items, class_=f"claims {kind}") if held else tag("p", words.say("page.none"))
    return join([listed, more(len(held) - PAPER_CLAIMS, words)])


def steps(details: Details, words: Words) -> Markup:
    """Return the steps in their order with their seconds."""
    if not details.steps:
        return Markup()
    items = (
        tag(
            "li",
            tag("span", words.name("step", name)),
            tag("span", f"{seconds:.2f}", class_="seconds"),
            class_="beyond" if number >= PAPER_STEPS else None,
        )
        for number, (name, seconds) in enumerate(details.steps)
    )
    beyond = more(len(details.steps) - PAPER_STEPS, words)
    return tag(
        "section", tag("h2", words.say("steps.title")), tag("ol", *items, class_="steps"), beyond, class_="block"
    )
