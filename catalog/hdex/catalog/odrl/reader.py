"""Statements -> policies. What a policy lacks is an error; a word that the profile does not know leaves its
rule undecided.

Source: ODRL Information Model 2.2; section numbers in comments are its.
"""

from collections.abc import Iterable

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.conditions import Conditions
from hdex.catalog.odrl.graph import Graph, Iri
from hdex.catalog.odrl.jsonld import parse as parse_json
from hdex.catalog.odrl.names import DCT, DESCRIPTIONS, DESCRIPTIVE, ODRL, PROFILE, RDF, RDF_TYPE, short, words
from hdex.catalog.odrl.policy import Conflict, Duty, Policy, Rule, RuleKind, Scope
from hdex.catalog.odrl.turtle import parse as parse_turtle

POLICY_TYPES = tuple(ODRL + name for name in ("Set", "Policy", "Offer", "Agreement", "Assertion", "Privacy", "Ticket"))
REQUEST_TYPE = ODRL + "Request"
PROFILES = frozenset({ODRL, ODRL + "core", ODRL.removesuffix("/"), PROFILE})
MAX_TEXT = 8 * 1024 * 1024  # bytes of one document
MAX_RULES = 2_000
MAX_NAMED = 50_000
MAX_ANCESTORS = 32
_RULES = {"permission": RuleKind.PERMISSION, "prohibition": RuleKind.PROHIBITION}
# What each kind of thing may be said to have; a word of ODRL in another place changes nothing, and is not read over.
_FUNCTIONS = (
    "function", "assigner", "assignee", "attributedParty", "attributingParty", "compensatedParty", "compensatingParty",
    "consentedParty", "consentingParty", "contractedParty", "contractingParty", "informedParty", "informingParty",
    "trackedParty", "trackingParty", "payeeParty",
)  # fmt: skip
_SHARED = ("uid", "action", "target", "output", "relation", *_FUNCTIONS)
_POLICY_HAS = frozenset(
    {*_SHARED, *_RULES, "obligation", "conflict", "profile", "inheritFrom", "inheritAllowed", "inheritRelation"}
)
_RULE_HAS = frozenset({*_SHARED, "constraint", "duty", "remedy", "failure"})
_SCOPE_HAS = frozenset({"uid", "refinement", "source", "partOf", "hasPolicy", "includedIn", "implies", "scope"})
_DUTY_HAS = frozenset({*_SHARED, "constraint", "consequence", "failure"})


def read_graph(source: object, *, blank: str = "p") -> Graph:
    """Return the statements of a policy, request or state of the world: Turtle as text, JSON as what it was parsed to.

    Raises PolicyInvalid. `blank` begins the names of nameless things and must differ between graphs that are joined.
    """
    if not isinstance(source, str | bytes):
        return parse_json(source, blank=blank)
    if len(source) > MAX_TEXT:
        raise PolicyInvalid(f"the document has {len(source)} bytes; at most {MAX_TEXT} are read")
    try:
        text = source if isinstance(source, str) else source.decode()
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"the document is not UTF-8 at byte {error.start}") from error
    return parse_turtle(text.removeprefix("\ufeff"), blank=blank)


def read_policies(graph: Graph) -> tuple[Policy, ...]:
    """Return every policy of a graph that no other one inherits from. Raise PolicyInvalid where there is none."""
    found = list(dict.fromkeys(graph.of_type(*POLICY_TYPES)))
    requests = set(graph.of_type(REQUEST_TYPE))
    rules = [ODRL + name for name in (*_RULES, "obligation")]
    untyped = [s for s in graph.held if not graph.types(s) and s not in found and graph.objects(s, *rules)]
    found = [one for one in (*found, *untyped) if one not in requests]
    if not found:
        raise PolicyInvalid("no policy found: an object with permission, prohibition or obligation is asked")
    inherited = {parent for one in found for parent in graph.names(one, ODRL + "inheritFrom") if parent != one}
    roots = [one for one in found if one not in inherited]
    if not roots:
        raise PolicyInvalid("the policies inherit from each other in a circle")
    return tuple(_PolicyReader(graph, one).policy() for one in roots)


class _PolicyReader:
    """One policy with what it inherits."""

    def __init__(self, graph: Graph, policy: str) -> None:
        self._graph = graph
        self._id = policy
        self._conditions = Conditions(graph)
        self._shared: tuple[str, ...] = ()  # the policies whose own parties, assets and actions hold for all rules
        self._count = 0
        self._looked: dict[str, str] = {}
        self._problems: list[str] = []
        self._notes: list[str] = []

    def policy(self) -> Policy:
        lineage = self._lineage(self._id, ())
        rules = [rule for one in lineage for rule in self._rules(one)]
        duties = tuple(duty for one in lineage for duty in self._duties(one, ODRL + "obligation"))
        if not rules and not duties:
            raise PolicyInvalid(f"policy {self._id[:80]} has no rule: name a permission, prohibition or obligation")
        if len(rules) > MAX_RULES:
            raise PolicyInvalid(f"policy {self._id[:80]} has {len(rules)} rules; at most {MAX_RULES} are read")
        return Policy(
            id=self._id,
            kind=next((short(kind) for kind in POLICY_TYPES if kind in self._graph.types(self._id)), "Set"),
            rules=tuple(rules),
            obligations=duties,
            conflict=self._conflict(lineage),
            problem="; ".join(dict.fromkeys(self._problems)),
            notes=tuple(dict.fromkeys(self._notes)),
            facts=self._graph,
        )

    def _lineage(self, policy: str, children: tuple[str, ...]) -> list[str]:
        """Return a policy and its ancestors (2.9). A missing parent makes the policy undecided, a circle an error."""
        if policy in children:
            raise PolicyInvalid(f"policy {policy[:80]} inherits from itself")
        if policy in self._shared:
            return []  # by another way already
        if len(children) > MAX_ANCESTORS:
            raise PolicyInvalid(f"policies inherit through more than {MAX_ANCESTORS} others")
        self._shared = (*self._shared, policy)
        known = set(POLICY_TYPES) & self._graph.types(policy) or any(
            self._graph.objects(policy, ODRL + name) for name in (*_RULES, "obligation")
        )
        if not known:
            self._problems.append(f"the policy inherits from {policy[:80]}, which is not at hand")
            return []
        if unknown := self._unknown(policy, _POLICY_HAS):
            self._problems.append(f"the policy has an {unknown}")
        if self._graph.objects(policy, DCT + "isReplacedBy"):
            self._problems.append("the policy says that another one replaces it")  # 2.8: it is void
        for profile in self._graph.texts(policy, ODRL + "profile"):
            if profile not in PROFILES:
                self._problems.append(f"the policy is written for profile {profile[:80]}, which is not known")
        found = [policy]
        for parent in self._graph.names(policy, ODRL + "inheritFrom"):
            found.extend(one for one in self._lineage(parent, (*children, policy)) if one not in found)
        return found

    def _conflict(self, lineage: list[str]) -> Conflict | None:
        said = {short(text) for one in lineage for text in self._graph.texts(one, ODRL + "conflict")}
        if unknown := said - set(Conflict):
            raise PolicyInvalid(f"conflict is {min(unknown)[:40]!r}; one of {', '.join(Conflict)} is asked")
        if len(said) > 1:
            return Conflict.INVALID  # 2.10: strategies that differ void the policy where rules conflict
        return Conflict(said.pop()) if said else None

    def _rules(self, policy: str) -> Iterable[Rule]:
        for word, kind in _RULES.items():
            for value in self._graph.objects(policy, ODRL + word):
                if not isinstance(value, Iri):
                    raise PolicyInvalid(f"policy {policy[:80]}: {word} is an object, found a value")
                yield self._rule(value.value, kind)

    def _rule(self, rule: str, kind: RuleKind) -> Rule:
        actions = self._scopes(rule, "action")
        if not actions:
            self._notes.append(f"{kind.value} {rule[:80]} names no action: it is read as any action")
        condition = ODRL + ("duty" if kind is RuleKind.PERMISSION else "remedy")
        odd = ODRL + ("remedy" if kind is RuleKind.PERMISSION else "duty")
        if self._graph.objects(rule, odd):
            raise PolicyInvalid(f"{kind.value} {rule[:80]} has a {short(odd)}; {short(condition)} is meant")
        return Rule(
            id=rule,
            kind=kind,
            actions=actions,
            targets=self._scopes(rule, "target"),
            assignees=self._scopes(rule, "assignee"),
            assigners=self._scopes(rule, "assigner"),
            constraints=self._conditions.of(rule, ODRL + "constraint"),
            duties=self._duties(rule, condition, may_fail=kind is RuleKind.PERMISSION),
            problem=self._unknown(rule, _RULE_HAS) or self._misread(rule, *self._shared),
        )

    def _scopes(self, rule: str, word: str) -> tuple[Scope, ...]:
        """Return what a rule names, with what its policy and its ancestors name for all rules (2.7.1, 2.9)."""
        values = [value.text for one in (rule, *self._shared) for value in self._graph.objects(one, ODRL + word)]
        self._counted(len(values))
        return tuple(self._scope(value, word) for value in dict.fromkeys(values))

    def _counted(self, more: int) -> None:
        """Raise PolicyInvalid where rules name too much: what they share is counted each time."""
        self._count += more
        if self._count > MAX_NAMED:
            raise PolicyInvalid(f"the rules name more than {MAX_NAMED} actions, assets, parties and duties in all")

    def _scope(self, node: str, word: str) -> Scope:
        graph = self._graph
        meant = (
            graph.names(node, RDF + "value") if word == "action" else graph.texts(node, ODRL + "uid", ODRL + "source")
        )
        if word == "action" and node.startswith("_:") and not meant:
            raise PolicyInvalid("an action object names no action: rdf:value or @id is asked")
        kind = {"target": "AssetCollection"}.get(word, "PartyCollection")
        return Scope(
            id=node,
            names=frozenset(meant if word == "action" and meant else (node, *meant)),
            collection=word != "action"
            and (ODRL + kind in graph.types(node) or bool(graph.texts(node, ODRL + "source"))),
            refinements=self._conditions.of(node, ODRL + "refinement"),
        )

    def _duties(self, owner: str, word: str, *, may_fail: bool = True) -> tuple[Duty, ...]:
        return tuple(self._duty(value.text, may_fail=may_fail) for value in self._graph.objects(owner, word))

    def _duty(self, duty: str, *, may_fail: bool) -> Duty:
        graph = self._graph
        self._counted(1 + len(graph.objects(duty, ODRL + "action")))
        actions = tuple(self._scope(value.text, "action") for value in graph.objects(duty, ODRL + "action"))
        if not actions:
            raise PolicyInvalid(f"duty {duty[:80]} names no action")
        if graph.objects(duty, ODRL + "consequence") and not may_fail:
            raise PolicyInvalid(f"duty {duty[:80]} is a consequence or a remedy and has a consequence of its own")
        return Duty(
            id=duty,
            actions=actions,
            parties=frozenset(graph.texts(duty, ODRL + "assignee")),
            targets=frozenset(graph.texts(duty, ODRL + "target")),
            constraints=self._conditions.of(duty, ODRL + "constraint"),
            consequences=self._duties(duty, ODRL + "consequence", may_fail=False),
            problem=self._unknown(duty, _DUTY_HAS) or self._misread(duty),
        )

    def _misread(self, *owners: str) -> str:
        """Return what is said of an action, asset or party in a word of ODRL that has no meaning there.

        What other vocabularies say of assets and parties are facts: refinements may be about them.
        """
        words_of = (ODRL + "action", ODRL + "target", ODRL + "assigner", ODRL + "assignee")
        named = (node for one in owners for node in self._graph.texts(one, *words_of))
        return next(filter(None, map(self._odd, named)), "")

    def _odd(self, node: str) -> str:
        if node not in self._looked:  # many rules may name one asset of which much is said
            said = (predicate.removeprefix(ODRL) for predicate in self._graph.predicates(node))
            odd = next((local for local in said if local.isalpha() and local not in _SCOPE_HAS | DESCRIPTIONS), "")
            is_policy = not self._graph.types(node).isdisjoint(POLICY_TYPES)
            self._looked[node] = f"unknown property {odd[:80]} of {node[:80]}" if odd and not is_policy else ""
        return self._looked[node]

    def _unknown(self, node: str, known: frozenset[str]) -> str:
        """Return what is said of a policy, rule or duty that the profile does not know of such; it decides nothing."""
        for predicate in self._graph.predicates(node):
            local = predicate.removeprefix(ODRL)
            if predicate == RDF_TYPE or predicate.startswith(DESCRIPTIVE) or local in DESCRIPTIONS:
                continue
            if local == predicate or local not in known:
                place = " here" if local in words().properties else ""
                return f"unknown property{place} {short(predicate)[:80]}"
        return ""
