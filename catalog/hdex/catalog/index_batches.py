"""What an index keeps of many products, made from their documents: in batches, by all processors.

Finding the words of a product is most of the work of an index that is made anew. Beyond `FEW` products helper
processes do it: children that read batches from standard input and end with it, so that none is left behind when this
process is killed. A batch that a helper does not answer is made here. However many products there are, only a few
batches are in memory.
"""

import gc
import importlib
import marshal
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import IO, Any, Generic, TypeVar, cast

FEW = 4000  # products that are sooner done here than a helper has started
BATCH = 500
BATCH_BYTES = 4_000_000  # a batch of large documents ends sooner
MOST_HELPERS = 4
LENGTH = struct.Struct(">Q")

Source = TypeVar("Source", bound=tuple[Any, ...])  # a document, and whatever else the index has read of its product
Made = TypeVar("Made")  # what `marshal` writes: plain tuples, lists, texts and numbers
Make = Callable[[bytes], Made]


def made_of_all(
    make: Make[Made], sources: Iterable[Source], count: int
) -> Generator[list[tuple[Source, Made]], None, None]:
    """Yield batches of the sources, in their order, each with what `make` returns of its document.

    make: a function of a module, which helpers find by name; what it raises is raised here. count: about how many
    sources there are. Close the generator: helpers end with it.
    """
    batches = _batches(sources)
    helpers = min(os.cpu_count() or 1, MOST_HELPERS)
    if count <= FEW or helpers == 1:
        for batch in batches:
            yield [(source, make(source[0])) for source in batch]
        return
    with _Helpers(make, helpers) as pool:
        for batch, answers in pool.answered(batches):
            yield list(zip(batch, answers, strict=True))


def _batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    batch: list[Source] = []
    size = 0
    for source in sources:
        batch.append(source)
        size += len(source[0])
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Helpers(Generic[Made]):
    """Processes that make rows, each with a thread of ours that waits for it."""

    def __init__(self, make: Make[Made], count: int) -> None:
        self._make = make
        self._count = count
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> "_Helpers[Made]":
        command = [sys.executable, "-I", "-m", __name__, self._make.__module__, self._make.__qualname__]
        with ExitStack() as stack:  # where one does not start, those before it end
            for _ in range(self._count):
                child = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                stack.callback(_end, child)
                self._idle.put(child)
            self._threads = ThreadPoolExecutor(self._count)
            stack.callback(self._threads.shutdown, cancel_futures=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answered(self, batches: Iterable[list[Source]]) -> Iterator[tuple[list[Source], list[Made]]]:
        """Yield each batch with what was made of it; no more wait at a time than keep the helpers at work."""
        waiting: deque[tuple[list[Source], Future[list[Made]]]] = deque()
        for batch in batches:
            waiting.append((batch, self._threads.submit(self._ask, [source[0] for source in batch])))
            if len(waiting) > 2 * self._count:
                first, answer = waiting.popleft()
                yield first, answer.result()
        while waiting:
            first, answer = waiting.popleft()
            yield first, answer.result()

    def _ask(self, documents: list[bytes]) -> list[Made]:
        child = self._idle.get()
        try:
            _say(cast(IO[bytes], child.stdin), documents)
            return _heard(cast(IO[bytes], child.stdout))
        except (OSError, EOFError, ValueError, TypeError):  # it has died: of a damaged listing, or by a kill
            return [self._make(document) for document in documents]
        finally:
            self._idle.put(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.communicate()


def help_along(make: Make[Made]) -> None:
    """Answer batches of documents until there are no more: what a helper does."""
    gc.disable()  # nothing here refers to itself
    while True:
        try:
            batch = _heard(sys.stdin.buffer)
        except EOFError:
            return
        _say(sys.stdout.buffer, [make(document) for document in batch])


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
    help_along(getattr(importlib.import_module(sys.argv[1]), sys.argv[2]))
