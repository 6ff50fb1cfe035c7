"""What the SQLite index keeps of each product, made from its document; of many products, by all processors.

A file made anew needs the words of every product it holds, and finding them is most of the work. Beyond `FEW` products
helper processes do it: children that read batches from standard input and end with it, so that none is left behind
when this process is killed. A batch that a helper does not answer is made here.
"""

import gc
import marshal
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, cast

import pydantic_core

from hdex.catalog.facets import facet_values
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.listing_bytes import read_document
from hdex.catalog.ports import issued_ms
from hdex.catalog.words import SearchWords, search_words

FEW = 4000  # products that are sooner done here than a helper has started
BATCH = 500
MOST_HELPERS = 4
LENGTH = struct.Struct(">Q")


class Row(NamedTuple):
    """What the table `product` holds of one product beside its key, its document and its envelope."""

    id: str
    state: str
    issued_ms: int
    facets: str  # JSON object: facet -> values
    names: str = ""  # as words.SearchWords.names while it is live, a space between two


Source = tuple[bytes, bytes, str]  # document, envelope, state
Made = tuple[Row, Sequence[str] | None]  # the row, and the texts of its words while it is live


def row_of(document: dict[str, Any], state: ProductState, words: SearchWords) -> Row:
    """Return the row of a product's document."""
    facets = pydantic_core.to_json(facet_values(document)).decode()
    names = " ".join(words.names) if state == ProductState.LISTED else ""
    return Row(str(document["id"]), state.value, issued_ms(document["issued"]), facets, names)


def texts(words: SearchWords) -> Sequence[str]:
    """Return the words as the columns of the full-text table hold them."""
    fields = (words.title, words.keywords, words.body)
    return [" ".join(tokens) for field in fields for tokens in (field.words, field.stems, field.han)]


def made(document: bytes, state: str) -> Made:
    """Return what is kept of a product. Raises IndexUnreadable."""
    held = read_document(document)
    words = search_words(held)
    return row_of(held, ProductState(state), words), texts(words) if state == ProductState.LISTED else None


def made_of_all(rows: Iterable[Source], count: int) -> Generator[tuple[Source, Made], None, None]:
    """Yield what is kept of each of about `count` products, in their order. Raises IndexUnreadable."""
    helpers = min(os.cpu_count() or 1, MOST_HELPERS)
    if count <= FEW or helpers == 1:
        yield from ((row, made(row[0], row[2])) for row in rows)
        return
    left = iter(rows)
    with _Helpers(helpers) as pool:
        for batch, answers in pool.answered(iter(lambda: list(islice(left, BATCH)), [])):
            yield from zip(batch, answers, strict=True)


class _Helpers:
    """Processes that make rows, each with a thread of ours that waits for it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._stack = ExitStack()

    def __enter__(self) -> "_Helpers":
        command = [sys.executable, "-I", "-m", "hdex.catalog.index_rows"]
        for _ in range(self._count):
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self._stack.callback(_end, child)
            self._idle.put(child)
        self._threads = self._stack.enter_context(ThreadPoolExecutor(self._count))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answered(self, batches: Iterable[list[Source]]) -> Iterator[tuple[list[Source], list[Made]]]:
        """Yield each batch with what was made of it; no more wait at a time than keep the helpers at work."""
        waiting: deque[tuple[list[Source], Future[list[Made]]]] = deque()
        for batch in batches:
            waiting.append((batch, self._threads.submit(self._ask, batch)))
            if len(waiting) > 2 * self._count:
                first, answer = waiting.popleft()
                yield first, answer.result()
        for first, answer in waiting:
            yield first, answer.result()

    def _ask(self, batch: list[Source]) -> list[Made]:
        child = self._idle.get()
        try:
            _say(cast(IO[bytes], child.stdin), [(document, state) for document, _, state in batch])
            return [(Row(*row), words) for row, words in _heard(cast(IO[bytes], child.stdout))]
        except (OSError, EOFError, ValueError, TypeError):  # it has died: of a damaged listing, or by a kill
            return [made(document, state) for document, _, state in batch]
        finally:
            self._idle.put(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.communicate()


def help_along() -> None:
    """Answer batches of documents until there are no more: what a helper does."""
    gc.disable()  # nothing here refers to itself
    while True:
        try:
            batch = _heard(sys.stdin.buffer)
        except EOFError:
            return
        answers = [made(document, state) for document, state in batch]
        _say(sys.stdout.buffer, [(tuple(row), words) for row, words in answers])


def _say(stream: IO[bytes], values: list[Any]) -> None:
    held = marshal.dumps(values)
    stream.write(LENGTH.pack(len(held)))
    stream.write(held)
    stream.flush()


def _heard(stream: IO[bytes]) -> list[Any]:
    """Return what the other side, which is this program too, has said. Raises EOFError where it says no more."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    return cast(list[Any], marshal.loads(stream.read(length)))  # noqa: S302  # see above


if __name__ == "__main__":
    help_along()
