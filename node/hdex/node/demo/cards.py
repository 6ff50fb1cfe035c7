"""The closing table's six rows as cards: one large answer each, and the figures behind it."""

from collections.abc import Iterable
from dataclasses import dataclass

from hdex.node.demo.closing import Details, Figures
from hdex.node.web.markup import Markup, join, tag
from hdex.node.web.words import Words, count, power, share, size

SHOWN = 5  # refusals that a card names


@dataclass(frozen=True, slots=True)
class Card:
    """One answer. is_bad: the answer is a refusal, or not the one that was hoped for."""

    title: str
    big: str
    lines: tuple[tuple[str, str], ...]
    is_bad: bool = False


def render(card: Card) -> Markup:
    """Return one card."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in card.lines)
    big = tag("p", card.big, class_="big bad" if card.is_bad else "big")
    return tag("section", tag("h3", card.title), big, tag("dl", *pairs), class_="card")


def all_cards(figures: Figures, details: Details, words: Words) -> Markup:
    """Return the six cards in the closing table's order."""
    made = [
        left(figures, details, words),
        known(figures, details, words),
        buyer(figures, details, words),
        refused(figures, words),
        proof(figures, details, words),
        patient(figures, details, words),
    ]
    return tag("div", join(render(card) for card in made), class_="cards")


def left(figures: Figures, details: Details, words: Words) -> Card:
    files = sorted(details.files_by_level.items())
    lines = (
        (words.say("left.planted"), count(figures.identifiers_planted)),
        (words.say("left.found"), count(figures.identifiers_found)),
        (words.say("left.files"), listed(words, (words.say("left.level", level=n, count=count(c)) for n, c in files))),
        (words.say("left.ciphertexts"), count(details.ciphertexts)),
        (words.say("left.digests"), count(details.digests_on_chain)),
    )
    is_bad = figures.raw_rows_left > 0 or figures.identifiers_found > 0
    return Card(words.say("left.title"), words.say("left.big", rows=count(figures.raw_rows_left)), lines, is_bad)


def listed(words: Words, parts: Iterable[str]) -> str:
    """Return the parts in a row, or that there is none."""
    return words.listed(parts) or words.say("page.none")


def known(figures: Figures, details: Details, words: Words) -> Card:
    levels = " · ".join(count(figures.columns_by_level.get(str(level), 0)) for level in range(1, 6))
    unique = (count(details.unique_rows_before), count(details.unique_rows_after))
    lines = (
        (words.say("known.chance"), share(figures.attack_chance)),
        (words.say("known.k"), change(count(figures.k_before), count(figures.k_after))),
        (words.say("known.unique"), change(*unique)),
        (words.say("known.levels"), levels),
    )
    return Card(words.say("known.title"), change(share(figures.attack_before), share(figures.attack_after)), lines)


def change(before: str, after: str) -> str:
    """Return what was and what is."""
    return f"{before} → {after}"


def buyer(figures: Figures, details: Details, words: Words) -> Card:
    delivered = words.say(
        "buyer.bytes_value", bytes=size(figures.bytes_delivered), seconds=f"{details.delivery_seconds:.2f}"
    )
    lines = [
        (words.say("buyer.bytes"), delivered),
        (words.say("buyer.altered"), count(figures.values_altered)),
    ]
    if details.effects:
        first = max(details.effects, key=lambda effect: abs(effect.odds_ratio - 1))
        ratio = f"{first.odds_ratio:.2f} ({first.low:.2f}–{first.high:.2f})"
        lines.append((words.say("buyer.ratio", name=words.name("factor", first.name)), ratio))
        lines.append((words.say("buyer.difference"), power(figures.max_coefficient_difference)))
    if details.left_out:
        names = words.listed(words.name("factor", name) for name in details.left_out)
        lines.append((words.say("buyer.left_out"), names))
    lines.append((words.say("buyer.rounds"), count(figures.rounds)))
    title, big = words.say("buyer.title"), words.say("buyer.big", patients=details.patients_banded)
    return Card(title, big, tuple(lines), is_bad=figures.values_altered > 0)


def refused(figures: Figures, words: Words) -> Card:
    number = len(figures.refusals)
    big = words.say("refused.big_one") if number == 1 else words.say("refused.big", count=count(number))
    lines = tuple((words.name("who", one.who), one.rule) for one in figures.refusals[:SHOWN])
    more = ((words.say("page.more", count=count(number - SHOWN)), ""),) if number > SHOWN else ()
    return Card(words.say("refused.title"), big, lines + more, is_bad=number > 0)


def proof(figures: Figures, details: Details, words: Words) -> Card:
    lines = [
        (words.say("proof.events"), count(figures.events)),
        (words.say("proof.open"), count(details.events_without_decision)),
        (words.say("proof.cosigned"), count(figures.cosignatures)),
        (words.say("proof.anchors"), count(figures.anchors)),
        (words.say("proof.chain"), words.name("operator", details.chain_operator)),
    ]
    if details.forged_log:
        lines.append((words.say("proof.forged"), forged(figures, details, words)))
    big = "proof.big" if figures.ledger_verified else "proof.big_bad"
    return Card(words.say("proof.title"), words.say(big), tuple(lines), is_bad=not figures.ledger_verified)


def forged(figures: Figures, details: Details, words: Words) -> str:
    """Return whether and where the forgery was found."""
    if figures.forged_log_found is None:
        return words.say("proof.missed", log=details.forged_log)
    return words.say("proof.found", log=details.forged_log, index=count(figures.forged_log_found))


def patient(figures: Figures, details: Details, words: Words) -> Card:
    honoured = figures.withdrawal_honoured
    lines = (
        (words.say("patient.next"), words.say("patient.absent" if honoured else "patient.present")),
        (words.say("patient.visible"), words.yes(details.withdrawal_visible)),
    )
    title = words.say("patient.title")
    return Card(title, words.say("patient.big" if honoured else "patient.big_bad"), lines, is_bad=not honoured)
