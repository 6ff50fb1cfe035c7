"""Access requests at a hospital's desk: who asks for what, whose turn it is, what was said, what a person decides."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi.responses import Response

from hdex.catalog.spreadsheet import to_csv
from hdex.node.errors import NotFound, RemoteRefused
from hdex.node.hospital.access_record import REVIEWED
from hdex.node.reviewer import Reviewer
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, text
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route, download, sheet

APPLICANT = "applicant"
TALKING = ("SUBMITTED", "STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE", "RETURNED", "APPROVED")  # messages are kept
WAY = ("SUBMITTED", "STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE", "APPROVED")
SIGNERS = ("data_steward", "privacy_officer", "ethics_committee")  # in the order in which they sign
COLUMNS = ("id", "state", "next", "due", "overdue", "applicant", "product", "version", "title", "precheck", "revision")
Rows = list[dict[str, Any]]
NO_DIGEST = "without-a-form"
Row = Mapping[str, Any]


class RequestsPart:
    """Lists requests, shows one whole, hands out its paper, and has decisions and messages signed."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/requests", self.listed),
            Route("/requests.csv", self.as_sheet),
            Route("/requests/{name}", self.shown),
            Route("/requests/{name}/paper", self.paper),
            Route("/requests/{name}/message", self.said, is_form=True),
            Route("/requests/{name}/decide/{arrow}", self.asked),
            Route("/requests/{name}/decide/{arrow}", self.decided, is_form=True),
        ]

    def listed(self, visit: Visit) -> Response:
        """Return every request: those that wait for this person, for others, and those that are over."""
        mine, others, over = parted(self._all(), visit.role)
        return page("desk_requests.html", visit, mine=mine, others=others, over=over)

    def as_sheet(self, visit: Visit) -> Response:
        """Return the requests as CSV."""
        head = [visit.words.say(f"requests.{name}") for name in COLUMNS]
        return sheet("requests.csv", to_csv(head, ([row[name] for name in COLUMNS] for row in self._all())))

    def shown(self, visit: Visit) -> Response:
        """Return one request whole. Raises NotFound."""
        found = self._found(visit)
        return page(
            "desk_request.html",
            visit,
            found=found,
            form=found["form"],
            arrows=arrows_of(found, visit.role),
            vetting=self._vetting(found["applicant"]),
            way=way(found),
            signers=SIGNERS,
            may_talk=found["state"] in TALKING and visit.role in SIGNERS,
        )

    def paper(self, visit: Visit) -> Response:
        """Return the ethics paper, to be kept and never shown here: an applicant wrote it."""
        content = self._reviewer.reviews.request_document(self._reviewer.office, visit.path("name"))
        return download("ethics.pdf", content)

    def said(self, visit: Visit) -> Response:
        """Say something to the applicant."""
        name = visit.path("name")
        self._reviewer.message(name, text(visit, "text"))
        return done(visit, request_path(name), "said")

    def asked(self, visit: Visit) -> Response:
        """Return one request with the question whether this decision is meant. Raises NotFound."""
        found, arrow = self._found(visit), visit.path("arrow")
        if arrow not in REVIEWED:
            raise NotFound("there is no such decision")
        return page("desk_request_decide.html", visit, found=found, arrow=arrow)

    def decided(self, visit: Visit) -> Response:
        """Sign a decision about the form that the page showed; of a newer one the node knows nothing was read."""
        name, arrow = visit.path("name"), visit.path("arrow")
        if arrow not in REVIEWED:
            raise NotFound("there is no such decision")
        reason = visit.form.get("reason", "").strip() if arrow == "take" else text(visit, "reason")
        self._reviewer.decide_request(name, arrow, reason, shown=visit.form.get("digest", "") or NO_DIGEST)
        return done(visit, request_path(name), "decided")

    def _all(self) -> list[dict[str, Any]]:
        return self._reviewer.reviews.list_requests(self._reviewer.office)

    def _found(self, visit: Visit) -> dict[str, Any]:
        return self._reviewer.reviews.request(self._reviewer.office, visit.path("name"))

    def _vetting(self, applicant: str) -> dict[str, Any] | None:
        """Return this hospital's newest word on an organisation; None where it has none, or this role may not read."""
        try:
            found = self._reviewer.vettings.vettings_of(self._reviewer.office, applicant)
        except RemoteRefused:
            return None
        return found[-1] if found else None


def request_path(name: str) -> str:
    """Return the address of a request, below a language's root."""
    return f"/requests/{quote(name, safe='')}"


def parted(found: Sequence[dict[str, Any]], role: str) -> tuple[Rows, Rows, Rows]:
    """Return (waiting for this role, waiting for others, over): first what is due first, of those over the newest."""
    waiting = sorted((one for one in found if one["next"]), key=lambda one: (not one["overdue"], one["due"] or "~"))
    mine = [one for one in waiting if role in (one["next"], one.get("escalated_to") or None)]
    return mine, [one for one in waiting if one not in mine], [one for one in reversed(found) if not one["next"]]


def arrows_of(found: Row, role: str) -> list[str]:
    """Return the decisions that this person may sign now: it must be the role's turn."""
    return [arrow for arrow in REVIEWED if arrow in found["allowed"]] if found["next"] == role else []


def way(found: Row) -> list[tuple[str, bool]]:
    """Return the states on the way to approval, each with whether this revision has reached it."""
    if found["state"] in WAY:
        reached = WAY.index(found["state"])
    else:  # it left the way: as far as it had come
        left = [step["from"] for step in found["history"] if step["to"] == found["state"]]
        reached = WAY.index(left[-1]) if left and left[-1] in WAY else -1
    return [(state, place <= reached) for place, state in enumerate(WAY)]
