"""What a consumer may see of a desk's data sets: pages in the order of their ids, each look remembered."""

from hdex.node.dsp.connector import Me
from hdex.node.dsp.messages import catalog
from hdex.node.dsp.ports import Desk
from hdex.node.dsp.process import Document
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder, text_of

PAGE = 50


class Shop:
    """The catalogue of one connector."""

    def __init__(self, me: Me, desk: Desk, recorder: Recorder, *, page: int = PAGE) -> None:
        self._me = me
        self._desk = desk
        self._recorder = recorder
        self._size = page

    def page(self, caller: Identity, after: str) -> tuple[Document, str]:
        """Return one page of the catalogue and the id after which the next begins; empty at the end."""
        found = list(self._desk.datasets(after, self._size + 1))
        shown = found[: self._size]
        self._recorder.allow("catalogue.read", caller, rows=len(shown))
        following = str(shown[-1]["@id"]) if len(found) > self._size else ""
        return catalog(self._me.identity.participant, self._me.address, shown), following

    def dataset(self, caller: Identity, dataset_id: str) -> Document:
        """Return one data set. Raises NotFound."""
        with self._recorder.refusals("catalogue.read", caller, product=text_of(dataset_id)):
            found = self._desk.dataset(dataset_id)
        self._recorder.allow("catalogue.read", caller, product=text_of(dataset_id))
        return found
