"""The desk's pages: each asks the node what it shows, in the person's own name. Nothing here changes anything."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

from fastapi.responses import Response

from hdex.catalog.spreadsheet import to_csv
from hdex.node.desk_review import ROLES, ColumnLine, Draft, lines_of
from hdex.node.errors import NotFound
from hdex.node.signed import digest
from hdex.node.steward import Steward
from hdex.node.web.desk_cohort import cohort_review
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import sheet
from hdex.node.web.desk_tasks import dataset_tasks, study_state, tasks, terms_of
from hdex.node.web.desk_views import (
    CSV_COLUMNS,
    DECISIONS,
    ORDERS,
    PER_PAGE,
    AccessSearch,
    figures,
    is_met,
    orders_of,
    told,
)

VERDICTS = ("approve", "deny")
GRADES = ("general", "important", "core")
AT_ONCE, MOST_IN_SHEET = 500, 10_000
CSV_NAME = "accesses.csv"


class Drafts(Protocol):
    """The classifications that this desk's person is reviewing."""

    def get(self, dataset: str) -> Draft | None: ...


class DeskPages:
    """Every page that is only read."""

    def __init__(self, steward: Steward, drafts: Drafts) -> None:
        self._steward = steward
        self._drafts = drafts

    def overview(self, visit: Visit) -> Response:
        """Return what waits for whom."""
        desk = self._steward.desk
        status, products = desk.status(), desk.read("products")["products"]
        waiting = desk.read("waiting")
        found = tasks(
            datasets=desk.read("datasets")["datasets"],
            studies=status["studies"],
            products=products,
            waiting=waiting,
            today=waiting["today"],
        )
        mine = [task for task in found if visit.role in task.roles]
        others = [task for task in found if visit.role not in task.roles]
        live = sum(state == "FINALIZED" for state in status["contracts"].values())
        asked = len(waiting["requests"]) + len(waiting["contracts"])
        return page("desk_overview.html", visit, mine=mine, others=others, node=status, waiting=asked, live=live)

    def datasets(self, visit: Visit) -> Response:
        """Return every data set with its state and next step."""
        today = self._steward.desk.read("waiting")["today"]
        found = [(one, list(dataset_tasks(one, today))) for one in self._steward.desk.read("datasets")["datasets"]]
        return page("desk_datasets.html", visit, datasets=found)

    def classification(self, visit: Visit) -> Response:
        """Return a classification: this desk's draft, what waits for a second name, or what is in force."""
        name = visit.path("dataset")
        kept, draft = self._steward.desk.read("classification", name), self._drafts.get(name)
        document = draft.document if draft else kept["document"]
        lines: list[ColumnLine] = []
        if document:
            lines = draft.lines() if draft else lines_of(document, kept["contested"])
        return page(
            "desk_classification.html",
            visit,
            name=name,
            state="draft" if draft else kept["state"],
            kept=kept,
            document=document,
            lines=lines,
            digest=digest(document) if document else "",
            roles=ROLES,
            grades=GRADES,
        )

    def version(self, visit: Visit) -> Response:
        """Return a version's de-identification report and its assessment."""
        found = self._steward.desk.read("version", visit.path("dataset"), visit.path("version"))
        now = self._steward.desk.read("waiting")["now"]
        report = found["release"]["report"]
        paper = found["assessment"]
        return page(
            "desk_version.html",
            visit,
            found=found,
            report=report,
            is_in_notice=found["state"] == "NOTICE" and now < found["listed_from"],
            figures=figures(report),
            is_met=is_met(report),
            told=told,
            digest=digest(paper) if paper else "",
            cohort=cohort_review(found["draft"], visit.words.lang),
        )

    def studies(self, visit: Visit) -> Response:
        """Return the studies that asked, those that wait first."""
        found = [(study_state(study), study) for study in reversed(self._steward.desk.status()["studies"])]
        found.sort(key=lambda one: one[0] != "waiting")
        return page("desk_studies.html", visit, studies=found)

    def study(self, visit: Visit) -> Response:
        """Return one study with the question whether this person means it. Raises NotFound."""
        verdict = visit.path("verdict")
        if verdict not in VERDICTS:
            raise NotFound("a study is approved or denied")
        return page("desk_study.html", visit, study=self.waiting(visit.path("digest")), verdict=verdict)

    def waiting(self, wanted: str) -> dict[str, Any]:
        """Return a study that asked, by its digest. Raises NotFound."""
        for study in self._steward.desk.status()["studies"]:
            if study["digest"] == wanted:
                return dict(study)
        raise NotFound("no study of this digest has asked here")

    def products(self, visit: Visit) -> Response:
        """Return every version of every product."""
        found = [(one, orders_of(one)) for one in self._steward.desk.read("products")["products"]]
        return page("desk_products.html", visit, products=found)

    def product(self, visit: Visit) -> Response:
        """Return one version: its public notice, its life with who signed each step. Raises NotFound."""
        desk = self._steward.desk
        found, today = desk.read("product", visit.path("product"), visit.path("version")), desk.read("waiting")["today"]
        ends = {"terms_end": found["expires"], "state": found["state"]}
        terms = terms_of(ends, today)
        return page(
            "desk_product.html",
            visit,
            found=found,
            orders=orders_of(found),
            terms=terms,
            notice_over=bool(found["listed_from"]) and found["listed_from"][:10] <= today,
        )

    def order(self, visit: Visit) -> Response:
        """Return one version with the question whether this order is meant. Raises NotFound."""
        order, wanted = visit.path("order"), (visit.path("product"), visit.path("version"))
        for one in self._steward.desk.read("products")["products"]:
            if (one["product"], one["version"]) == wanted and order in ORDERS:
                return page("desk_order.html", visit, product=one, order=order)
        raise NotFound("no product of this version is here, or no such order")

    def accesses(self, visit: Visit) -> Response:
        """Return one page of who read what; the whole search is in the address."""
        search = AccessSearch.read(visit.request.query_params)
        found = self._steward.desk.accesses(search.question(), before=search.before, limit=PER_PAGE)
        return page(
            "desk_accesses.html",
            visit,
            search=search,
            asked=dict(search.values),
            found=found,
            decisions=DECISIONS,
        )

    def accesses_sheet(self, visit: Visit) -> Response:
        """Return the accesses of a search as CSV, the newest MOST_IN_SHEET of them."""
        question = AccessSearch.read(visit.request.query_params).question()
        say = visit.words.say
        head = [say(f"accesses.{'rule' if name == 'reason' else name}") for name in CSV_COLUMNS]
        rows = islice(every_access(self._steward, question), MOST_IN_SHEET)
        return sheet(CSV_NAME, to_csv(head, ([row.get(name) for name in CSV_COLUMNS] for row in rows)))


def every_access(steward: Steward, question: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the accesses that answer a question, newest first, each once: pages are parted by the log's entries."""
    before = 0
    while True:
        found = steward.desk.accesses(question, before=before, limit=AT_ONCE)
        yield from found["rows"]
        before = found["next"]
        if not before:
            return
