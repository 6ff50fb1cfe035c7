"""Enclave and queries at a hospital's desk: scripts and outputs that wait for a person, questions that were asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from hdex.node.errors import NotFound
from hdex.node.steward import Steward
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, text
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route
from hdex.node.web.desk_views import PER_PAGE, AccessSearch

SUBMITTED, CHECKED = "SUBMITTED", "CHECKED"
READERS = {SUBMITTED: ("data_steward", "privacy_officer"), CHECKED: ("privacy_officer",)}
DIGESTS = {SUBMITTED: "script_digest", CHECKED: "output_digest"}
VERDICTS = {"approve": "approved_run", "refuse": "refused_run"}
QUERY = "query.run"
MOST_LINES = 5000  # of an output, on the page; what is longer is read and signed at the command line
Row = Mapping[str, Any]


class RunsPart:
    """Shows what waits in the enclave and has scripts run, outputs released, or either refused."""

    def __init__(self, steward: Steward) -> None:
        self._steward = steward

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/runs", self.listed),
            Route("/runs/{run}", self.shown),
            Route("/runs/{run}/{verdict}", self.asked),
            Route("/runs/{run}/{verdict}", self.decided, is_form=True),
            Route("/queries", self.queries),
        ]

    def listed(self, visit: Visit) -> Response:
        """Return the runs that wait, those for this person first."""
        found = [(one, READERS[one["state"]]) for one in self._steward.desk.runs()]
        found.sort(key=lambda one: visit.role not in one[1])
        return page("desk_runs.html", visit, found=found)

    def shown(self, visit: Visit) -> Response:
        """Return one run: the script whole, and what it wrote, as plain text. Raises NotFound."""
        found = self._waiting(visit)
        outputs = [(name, *cut(said)) for name, said in sorted(found.get("outputs", {}).items())]
        is_cut = any(more for _, _, more in outputs)
        return page(
            "desk_run.html", visit, found=found, outputs=outputs, is_cut=is_cut, readers=READERS[found["state"]]
        )  # fmt: skip

    def asked(self, visit: Visit) -> Response:
        """Return one run with the question whether this is meant. Raises NotFound."""
        verdict = visit.path("verdict")
        if verdict not in VERDICTS:
            raise NotFound("a run is approved or refused")
        found = self._waiting(visit)
        return page("desk_run_decide.html", visit, found=found, verdict=verdict, digest=found[DIGESTS[found["state"]]])

    def decided(self, visit: Visit) -> Response:
        """Sign yes or no over the digest that the page showed."""
        verdict = visit.path("verdict")
        if verdict not in VERDICTS:
            raise NotFound("a run is approved or refused")
        reason = text(visit, "reason") if verdict == "refuse" else ""
        shown = text(visit, "digest")
        said = self._steward.review(visit.path("run"), approve=verdict == "approve", reason=reason, shown=shown)
        if verdict == "approve" and said["state"] == "REFUSED":  # by the rules, once it had run
            return done(visit, "/runs", "run_refused_by_rule")
        return done(visit, "/runs", VERDICTS[verdict])

    def queries(self, visit: Visit) -> Response:
        """Return what was asked of this hospital's rows, answered or refused by which rule, newest first."""
        search = AccessSearch.read(visit.request.query_params)
        asked = {**search.question(), "action": QUERY}
        found = self._steward.desk.accesses(asked, before=search.before, limit=PER_PAGE)
        return page("desk_queries.html", visit, search=search, found=found, asked=dict(search.values))

    def _waiting(self, visit: Visit) -> dict[str, Any]:
        for run in self._steward.desk.runs():
            if run["run"] == visit.path("run"):
                return dict(run)
        raise NotFound("no such run waits for a person")


def cut(said: str) -> tuple[str, int]:
    """Return (the first lines of an output, how many more there are)."""
    lines = said.splitlines()
    return "\n".join(lines[:MOST_LINES]), max(0, len(lines) - MOST_LINES)
