"""One entry's inclusion proof drawn as a path from the entry up to the signed root."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdex.ledger.merkle import node_hash
from hdex.node.web.auditor_words import AuditWords
from hdex.node.web.markup import Markup, join, tag

WIDTH, STEP, TOP, BOTTOM = 340, 46, 34, 30
MIDDLE, LEFT, RIGHT = 170, 64, 276
SHOWN = 8  # hex digits of a hash


@dataclass(frozen=True, slots=True)
class Step:
    """One hash of the proof: the sibling, on which side it stands, and what both hash to."""

    sibling: bytes
    is_left: bool
    result: bytes


def steps(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> list[Step]:
    """Return the proof step by step. Source: RFC 9162 section 2.1.3.2."""
    found, fn, sn, running = [], index, size - 1, leaf
    for sibling in proof:
        is_left = bool(fn & 1) or fn == sn
        running = node_hash(sibling, running) if is_left else node_hash(running, sibling)
        found.append(Step(sibling, is_left, running))
        while is_left and not fn & 1 and fn != 0:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    return found


def draw(leaf: bytes, path: Sequence[Step], words: AuditWords, *, index: int, size: int) -> Markup:
    """Return the picture: the entry at the foot, the root at the head, each sibling on its side."""
    height = TOP + STEP * len(path) + BOTTOM
    ground = height - BOTTOM
    parts = [draw_step(step, ground - STEP * number) for number, step in enumerate(path)]
    text = words.say("event.path_text", steps=len(path), size=f"{size:,}")
    root = path[-1].result if path else leaf
    return tag(
        "svg",
        tag("title", words.say("event.path")),
        tag("desc", text),
        *parts,
        tag("rect", x=MIDDLE - 7, y=ground - 7, width=14, height=14, class_="p-leaf"),
        tag("text", f"{words.say('event.leaf')} {index:,}", x=MIDDLE, y=ground + 24, class_="p-name"),
        tag("circle", cx=MIDDLE, cy=TOP, r=8, class_="p-root") if path else "",
        tag("text", f"{words.say('event.root')} {short(root)}", x=MIDDLE, y=TOP - 16, class_="p-name"),
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        class_="proof-path",
    )


def draw_step(step: Step, y: int) -> Markup:
    """Return one step: running value and sibling at `y`, their parent one step above."""
    x, up = (LEFT if step.is_left else RIGHT), y - STEP
    anchor = "p-hash p-end" if step.is_left else "p-hash"
    return join(
        [
            tag("line", x1=MIDDLE, y1=y, x2=MIDDLE, y2=up, class_="p-way"),
            tag("line", x1=x, y1=y - 10, x2=MIDDLE, y2=up, class_="p-join"),
            tag("circle", cx=MIDDLE, cy=up, r=4, class_="p-node"),
            tag("rect", x=x - 42, y=y - 20, width=84, height=20, rx=4, class_="p-sibling"),
            tag("text", short(step.sibling), x=x, y=y - 6, class_=anchor),
        ]
    )


def short(value: bytes) -> str:
    """Return the beginning of a hash."""
    return value.hex()[:SHOWN]
