"""Organisations at the desk of an office, a hospital's or the exchange's: what they declare, what two people decide."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from fastapi.responses import Response

from hdex.catalog.organisation import is_lei, is_uscc
from hdex.catalog.spreadsheet import to_csv
from hdex.ledger.event import format_time
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.reviewer import Reviewer
from hdex.node.web.auditor_views import day
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, text
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route, sheet

WAITING = ("APPLIED", "ENDORSED")
ARROWS = ("endorse", "approve", "refuse", "revoke")
IN_TURN = ("endorse", "approve")  # these are for the role whose turn it is, the others for both roles
OFFICES = {
    "hospital": ("data_steward", "privacy_officer"),
    "exchange": ("exchange_operator", "security_officer"),
}
COLUMNS = ("participant", "state", "next", "code", "name", "country", "valid_until")
LAST_YEAR = 9999
Row = Mapping[str, Any]


class VettingPart:
    """Lists applications, shows one with its rules, and has a person's decision signed."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/organisations", self.listed),
            Route("/organisations.csv", self.as_sheet),
            Route("/organisations/{participant}", self.shown),
            Route("/organisations/{participant}/{digest}/{arrow}", self.asked),
            Route("/organisations/{participant}/{digest}/{arrow}", self.decided, is_form=True),
        ]

    def listed(self, visit: Visit) -> Response:
        """Return every application, those that wait first."""
        found = waiting_first(self._reviewer.vettings.list_vettings(self._reviewer.office))
        return page("desk_organisations.html", visit, found=found, roles=roles_of(visit))

    def as_sheet(self, visit: Visit) -> Response:
        """Return the applications as CSV."""
        rows = [
            {**one, "name": one["name"][visit.words.lang] or one["name"]["en"]}
            for one in self._reviewer.vettings.list_vettings(self._reviewer.office)
        ]
        head = [visit.words.say(f"organisations.{name}") for name in COLUMNS]
        return sheet("organisations.csv", to_csv(head, ([row[name] for name in COLUMNS] for row in rows)))

    def shown(self, visit: Visit) -> Response:
        """Return one organisation's applications, the newest first. Raises NotFound."""
        name = visit.path("participant")
        found = self._of(name)
        return page(
            "desk_organisation.html",
            visit,
            name=name,
            found=[(one, arrows_of(one, visit), code_of(one)) for one in found],
            roles=roles_of(visit),
        )

    def asked(self, visit: Visit) -> Response:
        """Return one application with the question whether this decision is meant. Raises NotFound."""
        arrow, wanted = visit.path("arrow"), visit.path("digest")
        if arrow not in ARROWS:
            raise NotFound("there is no such decision")
        for one in self._of(visit.path("participant")):
            if one["digest"] == wanted:
                return page("desk_vetting.html", visit, one=one, arrow=arrow, code=code_of(one))
        raise NotFound("no application of this digest is here")

    def decided(self, visit: Visit) -> Response:
        """Sign a decision about the application that the page showed."""
        arrow, name = visit.path("arrow"), visit.path("participant")
        if arrow not in ARROWS:
            raise NotFound("there is no such decision")
        until = last_day(visit) if arrow == "approve" else ""
        self._reviewer.decide_vetting(name, arrow, text(visit, "reason"), until=until, shown=visit.path("digest"))
        return done(visit, organisation_path(name), "decided")

    def _of(self, participant: str) -> list[dict[str, Any]]:
        found = self._reviewer.vettings.vettings_of(self._reviewer.office, participant)
        if not found:
            raise NotFound("no application of this organisation is here")
        return list(reversed(found))


class OfficeHome:
    """The first page of a desk that only vets."""

    def __init__(self, vetting: VettingPart) -> None:
        self._vetting = vetting

    def routes(self) -> Sequence[Route]:
        """Return the address."""
        return [Route("/", self._vetting.listed)]


def organisation_path(participant: str) -> str:
    """Return the address of an organisation, below a language's root."""
    return f"/organisations/{quote(participant, safe='')}"


def waiting_first(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return applications: those that wait, oldest first, then the others, newest first."""
    waiting = [one for one in found if one["state"] in WAITING]
    return waiting + [one for one in reversed(found) if one["state"] not in WAITING]


def roles_of(visit: Visit) -> tuple[str, ...]:
    """Return the two roles of this desk's office, in the order in which they sign."""
    return OFFICES.get(visit.session.identity.kind, ())


def arrows_of(one: Row, visit: Visit) -> list[str]:
    """Return the decisions that this person may sign about an application as it stands."""
    if visit.role not in roles_of(visit):
        return []
    allowed = [arrow for arrow in ARROWS if arrow in one["allowed"]]
    return [arrow for arrow in allowed if arrow not in IN_TURN or one["next"] == visit.role]


def code_of(one: Row) -> tuple[str, bool]:
    """Return (kind of the registered code, whether its check digits hold), reckoned here anew."""
    code = str(one["code"])
    if one["country"] == "CN":
        return "uscc", is_uscc(code)
    return "lei", is_lei(code)


def last_day(visit: Visit) -> str:
    """Return the end of the last day of an approval, RFC 3339. Raises RequestInvalid."""
    found, is_odd = day(text(visit, "until"))
    if found is None or is_odd or found.year >= LAST_YEAR:
        raise RequestInvalid("the last day of an approval is a day as in 2027-06-30")
    return format_time(found + timedelta(days=1))
