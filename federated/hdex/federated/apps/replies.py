"""Read a round's replies, of sites or of regions, and check that they are the answer of everybody asked."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from hdex.federated.apps.flower import Message, node_id
from hdex.federated.apps.records import is_lost, read_reply, reply_error
from hdex.federated.broadcast import Broadcast
from hdex.federated.errors import CiphertextInvalid, SiteLost, StudyInvalid
from hdex.federated.regional import NO_REGIONS, RegionalSum, Reply, parts_of
from hdex.federated.study import Study

Members = Mapping[str, tuple[str, ...]]  # who is asked -> the sites it answers for; a site answers for itself


def members_of(study: Study, regions: Mapping[str, Sequence[str]]) -> Members:
    """Return who is asked. Raises StudyInvalid unless regions are disjoint, of the roster, and not named as a site."""
    grouped = [site for sites in regions.values() for site in sites]
    if len(set(grouped)) != len(grouped) or set(grouped) - set(study.sites) or not all(regions.values()):
        raise StudyInvalid("each region needs sites of the roster, and no site has two regions")
    if set(regions) & set(study.sites):
        raise StudyInvalid("a region has the name of a site")
    if regions and study.secure != "paillier":
        raise StudyInvalid("regions add ciphertexts; plain sums would depend on the order of addition")
    if regions and study.threshold is not None:
        raise StudyInvalid(NO_REGIONS)
    alone = {site: (site,) for site in study.sites if site not in set(grouped)}
    return {**alone, **{region: tuple(sorted(sites)) for region, sites in sorted(regions.items())}}


def regions_of(study: Study, regions: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the regions that a study meets, each with its sites on the roster."""
    found = {name: tuple(sorted(set(sites) & set(study.sites))) for name, sites in regions.items()}
    return {name: sites for name, sites in found.items() if sites}


def asked_of(members: Members, population: Collection[str]) -> Members:
    """Return the members that stand for the population. Raises StudyInvalid when it is not whole members."""
    asked = set(population)
    found = {name: sites for name, sites in members.items() if asked.issuperset(sites)}
    if sum(map(len, found.values())) != len(asked):
        raise StudyInvalid("the attempt asks only a part of a region; go on with the regions that it was begun with")
    return found


def lost_regions(replies: Iterable[Message], members: Members) -> set[int]:
    """Return the node ids of the regions that answer that they miss one of their sites: nobody refuses there."""
    lost = {reply.metadata.src_node_id for reply in replies if is_lost(reply)}
    return lost & {node_id(name) for name, sites in members.items() if sites != (name,)}


def gather(study: Study, question: Broadcast, replies: Iterable[Message], members: Members) -> list[Reply]:
    """Return one reply of every member asked, in their order, or raise what a site refused.

    Raises SiteLost when one is missing, CiphertextInvalid when one answers another question or for other sites.
    """
    names, digest = {node_id(name): name for name in members}, question.digest()
    found: dict[str, Reply] = {}
    for message in replies:
        name = names.get(message.metadata.src_node_id, "a stranger")
        if message.has_error():
            raise reply_error(message, name)
        found[name] = read_reply(message.content, study.secure)
        _check_answer(name, found[name], members.get(name, ()), (digest, question.round))
    if missing := [name for name in members if name not in found]:
        raise SiteLost(f"no answer to round {question.round} from {', '.join(missing)}")
    return [found[name] for name in members]


def _check_answer(name: str, reply: Reply, sites: tuple[str, ...], asked: tuple[str, int]) -> None:
    parts = parts_of([reply])
    if any((part.header.broadcast, part.header.round) != asked for part in parts):
        raise CiphertextInvalid(f"the reply of {name} answers another question")
    if tuple(part.header.site for part in parts) != sites or isinstance(reply, RegionalSum) != (sites != (name,)):
        raise CiphertextInvalid(f"the reply of {name} stands for other sites than were asked")
