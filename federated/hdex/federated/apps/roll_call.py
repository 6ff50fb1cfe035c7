"""Before the first round every site is asked how it stands: only those that approved are asked for sums."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from hdex.federated.apps.flower import Grid, Message, node_id
from hdex.federated.apps.records import STANDING_TYPE, is_lost, read_standings, reply_error, standing_question
from hdex.federated.apps.replies import Members
from hdex.federated.errors import AdmissionRefused, StudyInvalid
from hdex.federated.standing import APPROVED, DENIED, MISSING, WAITING, People, Standing
from hdex.federated.study import Study
from hdex.federated.waiting import Patience, site_lost

FIRST_LOOK_S, LONGEST_LOOK_S, LATER_LOOK_S = 10.0, 60.0, 1.0  # how long one look waits for who is silent
Pause = Callable[[float], object]


class RollCall:
    """Asks the members of a study, sites or regions, and remembers what each site said. One thread uses it."""

    def __init__(
        self, study: Study, envelope: bytes, members: Members, *, people: People, pause: Pause | None = None
    ) -> None:
        self._study = study
        self._envelope = envelope
        self._members = members
        self._people = people
        self._pause = pause or threading.Event().wait
        self._said: dict[str, Standing] = {}
        self._told: tuple[Standing, ...] = ()
        self._settled: tuple[str, ...] = ()

    def now(self, grid: Grid, patience: Patience, number: int) -> tuple[str, ...]:
        """Return whom a round may ask: the call is held once, and a quorum looks again for those it left out.

        An exact study that goes on after a crash is past its call: whoever revoked since refuses the round.
        """
        if not self._settled:
            past = number > 1 and not self._study.quorum
            self._settled = self._study.sites if past else self.hold(grid, patience)
        elif self._study.quorum and len(self._settled) < len(self._study.sites):
            self._settled = self.again(grid)
        return self._settled

    def hold(self, grid: Grid, patience: Patience) -> tuple[str, ...]:
        """Return the sites that approved once they are all, or enough: the quorum, or what a shared key can bear.

        Raises AdmissionRefused when too many say no, or when people have not decided in time; SiteLost when a site
        is silent until patience ends.
        """
        began = patience.clock()
        lasts, soon = timedelta(seconds=patience.left()), timedelta(seconds=patience.straggler_s)
        people_wait = timedelta(seconds=self._people.wait_s)
        look_s = min(FIRST_LOOK_S, patience.straggler_s)
        while True:
            self._look(grid, look_s)
            look_s = min(2 * look_s, LONGEST_LOOK_S)  # a SuperNode looks for messages every three seconds
            passed, approved = patience.clock() - began, self.approved()
            self._require_possible()
            waiting, silent = self._waiting(), self._silent()
            self._tell(waiting)
            patient = bool(waiting and passed < people_wait) or bool(silent and passed < soon)
            if self._is_enough(approved, patient=patient):
                self._tell(())
                return approved
            if waiting and passed >= min(people_wait, lasts):
                raise undecided(waiting)
            if silent and passed >= lasts:
                raise site_lost(1, silent, patience, fewest=self._study.fewest if self._may_shrink() else 0)
            self._pause(self._people.look_s if waiting else 0.0)

    def again(self, grid: Grid) -> tuple[str, ...]:
        """Return the sites that have approved by now, after one look at those that are connected and had not."""
        self._look(grid, LATER_LOOK_S, only=set(grid.get_node_ids()))
        return self.approved()

    def approved(self) -> tuple[str, ...]:
        """Return the sites behind members all of whose sites approved, sorted: half a region is asked nothing."""
        found = [sites for sites in self._members.values() if all(self._is(site, APPROVED) for site in sites)]
        return tuple(sorted(site for sites in found for site in sites))

    def _look(self, grid: Grid, timeout_s: float, *, only: set[int] | None = None) -> None:
        nodes = {
            node_id(name): sites
            for name, sites in self._members.items()
            if not all(self._is(site, APPROVED) or self._is(site, DENIED) for site in sites)
        }
        asked = [node for node in nodes if only is None or node in only]
        messages = [grid.create_message(standing_question(self._envelope), STANDING_TYPE, node, "1") for node in asked]
        for reply in grid.send_and_receive(messages, timeout=timeout_s) if messages else ():
            self._hear(reply, nodes[reply.metadata.src_node_id])

    def _hear(self, reply: Message, sites: tuple[str, ...]) -> None:
        if is_lost(reply):
            return  # a region that misses its sites; asked again
        if reply.has_error():
            raise reply_error(reply, " and ".join(sites[:3]))
        for one in read_standings(reply.content):
            if one.site not in sites:
                raise StudyInvalid(f"{', '.join(sites[:3])} says how {one.site} stands, for which it does not answer")
            self._said[one.site] = one

    def _is(self, site: str, word: str) -> bool:
        return site in self._said and self._said[site].word == word

    def _waiting(self) -> tuple[Standing, ...]:
        return tuple(self._said[site] for site in self._study.sites if self._is(site, WAITING))

    def _silent(self) -> list[str]:
        return [site for site in self._study.sites if site not in self._said]

    def _may_shrink(self) -> bool:
        return bool(self._study.quorum) or self._study.dropout_allowed

    def _is_enough(self, approved: Sequence[str], *, patient: bool) -> bool:
        """All; or the quorum; or, in the end, what a shared key can bear: who is left out is so for the whole study."""
        if len(approved) == len(self._study.sites):
            return True
        if self._study.quorum:
            return len(approved) >= self._study.quorum
        return self._study.dropout_allowed and not patient and len(approved) >= self._study.fewest

    def _require_possible(self) -> None:
        denied = [self._said[site] for site in self._study.sites if self._is(site, DENIED)]
        needed = self._study.fewest if self._may_shrink() else len(self._study.sites)
        if denied and len(self._study.sites) - len(denied) < needed:
            raise AdmissionRefused(denied[0].rule or "denied", f"{denied[0].site}: {denied[0].detail}")

    def _tell(self, waiting: tuple[Standing, ...]) -> None:
        if waiting != self._told:
            self._told = waiting
            self._people.tell(waiting)


def undecided(waiting: Sequence[Standing]) -> AdmissionRefused:
    """Return the end of a study whose people took too long: nothing was asked of anybody, and it can begin again."""
    names = ", ".join(one.site for one in waiting)
    rules = {one.rule for one in waiting}
    rule = rules.pop() if len(rules) == 1 else MISSING
    return AdmissionRefused(rule or MISSING, f"the people of {names} have not approved; start it again when they have")
