"""A hospital's contracts, wired: negotiated over gRPC or the Dataspace Protocol, countered, lived, read."""

from hdex.node.authz import CedarAuthorizer
from hdex.node.compose.access import identity_of
from hdex.node.compose.dataspace_members import Members, connect, serve_line
from hdex.node.compose.hospital_records import HospitalRecords
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.hospital.contract_gate import ContractGate
from hdex.node.hospital.contract_lives import ContractLives, LifeRoom
from hdex.node.hospital.contract_shelf import ContractShelf
from hdex.node.hospital.contract_standings import ContractStandings
from hdex.node.hospital.dataspace import ContractDoor, HospitalDesk
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.rule_answers import RuleAnswers


class HospitalContracts:
    """The contracts of one hospital. exchange: where answers go that were not asked for over the protocol."""

    def __init__(
        self, standing: Standing, config: HospitalConfig, records: HospitalRecords, *, gate: ContractGate,
        exchange: Exchange,
    ) -> None:  # fmt: skip
        self._standing, self._config, self._records = standing, config, records
        self.processes = SqliteProcesses(standing.data / "dsp.db") if config.dsp is not None else None
        self.connectors: list[Connector] = []  # of the Dataspace Protocol: one, once it is served
        self.door = self._door(exchange)
        self.lives = self._lives()
        self.negotiations = self._negotiations(gate)
        self.standings = ContractStandings(self.lives, standing.recorder, now)
        self.offers = Offers(
            records.signatory,
            self.negotiations,
            records.products,
            records.staff,
            directory=standing.directory,
            recorder=standing.recorder,
        )
        self.answers = RuleAnswers(
            config.answers,
            self.negotiations,
            self.offers,
            records.products,
            me=identity_of(standing),
            directory=standing.directory,
            clock=now,
        )

    def serve_dsp(self) -> None:
        """Serve the Dataspace Protocol where the configuration has a table for it."""
        if self._config.dsp is None or self.processes is None:
            return
        ground, config = self._standing, self._config
        endpoint = ground.directory.member(config.id).endpoint
        desk = HospitalDesk(
            self._config.dsp.address + PATH,
            endpoint,
            self._records.products,
            self.negotiations,
            ground.directory,
            self.offers,
            self.answers,
            self.connectors,
        )
        members = Members(config.id, config.trust_domain, config.identity, ground.directory)
        line = connect(members, self._config.dsp, desk, self.processes, ground.recorder)
        self.connectors.append(line.connector)
        ground.dsp = serve_line(line, config.listen.host, ground.stop)

    def _door(self, exchange: Exchange) -> Exchange:
        """Return where the negotiations' answers go: over the way on which they were asked for."""
        if self.processes is None:
            return exchange
        return ContractDoor(exchange, self.processes, self._consumer_of, self.connectors)

    def _consumer_of(self, contract_id: str) -> str:
        return self.negotiations.consumer_of(contract_id)

    def _lives(self) -> ContractLives:
        ground, records = self._standing, self._records
        tell = {"tell": self.door.lived} if isinstance(self.door, ContractDoor) else {}
        return ContractLives(
            records.signatory,
            ContractShelf(ground.documents),
            LifeRoom(records.staff, records.book, ground.documents, **tell),
            directory=ground.directory,
            recorder=ground.recorder,
            facts=ground.facts,
        )

    def _negotiations(self, gate: ContractGate) -> Negotiations:
        ground = self._standing
        return Negotiations(
            self._records.signatory,
            ground.documents,
            self._records.products,
            directory=ground.directory,
            exchange=self.door,
            authorizer=CedarAuthorizer(),
            recorder=ground.recorder,
            facts=ground.facts,
            meter=ground.meter,
            gate=gate,
            lives=self.lives,
        )
