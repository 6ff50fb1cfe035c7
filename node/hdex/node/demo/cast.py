"""Who acts in the demo, and how they reach each other."""

from dataclasses import dataclass

from hdex.ledger.chain_web3 import Web3Chain, deploy
from hdex.node import config as configs
from hdex.node.applicant import Applicant
from hdex.node.auditor import Auditor
from hdex.node.buyer import Buyer
from hdex.node.compose.client import open_applicant, open_auditor, open_buyer, open_reviewer, open_steward
from hdex.node.demo.setting import (
    APPLICANT,
    AUDITOR,
    BUYER,
    CHAIN_ID,
    EXCHANGE,
    HOSPITALS,
    LOGGED,
    STAFF_ROLES,
    Setting,
    address,
    write_configs,
)
from hdex.node.demo.supervisor import Program
from hdex.node.reviewer import Reviewer
from hdex.node.steward import Steward

OPERATOR = "1 operator: demonstration"


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody who calls."""

    stewards: dict[str, Steward]
    officers: dict[str, Steward]
    buyer: Buyer
    applicant: Buyer
    auditor: Auditor
    applying: Applicant  # the buyer, before a contract
    office: dict[str, Reviewer]  # role -> who vets at the exchange
    reviewers: dict[str, dict[str, Reviewer]]  # hospital -> role -> who reviews there


def chain_program(setting: Setting) -> Program:
    """Return the chain, which starts first."""
    return Program("chain", ("chain", "serve", "--config", str(setting.config_file("chain"))), setting.chain_port)


def deploy_contract(setting: Setting) -> None:
    """Deploy the contract and write the configurations that name it. Once more after an outage: the last one counts."""
    operator = setting.keys["chain"].secret("chain")
    write_configs(setting, deploy(setting.chain_url, operator, OPERATOR, expect_chain_id=CHAIN_ID))


def enrol_all(setting: Setting) -> None:
    """Bind each log to the account that anchors it, as the operator of the chain."""
    import hashlib

    operator = setting.keys["chain"].secret("chain")
    chain = Web3Chain(setting.chain_url, setting.contract, operator, CHAIN_ID)
    for name in LOGGED:
        keys = setting.keys[name]
        chain.enroll(name, address(keys), hashlib.sha256(keys.public("log")).digest())


def programs(setting: Setting) -> list[Program]:
    """Return exchange, key holder and the hospitals."""
    words = {"exchange": "exchange", "keyholder": "keyholder", **dict.fromkeys(HOSPITALS, "node")}
    return [
        Program(name, (word, "serve", "--config", str(setting.config_file(name))), setting.ports[name][0])
        for name, word in words.items()
    ]


def gather(setting: Setting) -> Cast:
    """Return everybody who calls, each with its own certificate and keys."""
    hospitals = {name: configs.load(setting.config_file(name), configs.HospitalConfig) for name in HOSPITALS}
    callers = {
        name: configs.load(setting.config_file(name), configs.BuyerConfig) for name in (BUYER, APPLICANT, AUDITOR)
    }

    exchange = configs.load(setting.config_file(EXCHANGE), configs.ExchangeConfig)

    def reviewers(config: configs.HospitalConfig | configs.ExchangeConfig, kind: str) -> dict[str, Reviewer]:
        desks = setting.home(config.id) / "staff"
        return {role: open_reviewer(config, desks / role, role) for role in STAFF_ROLES[kind]}

    def staff(role: str) -> dict[str, Steward]:
        return {
            name: open_steward(config, setting.home(name) / "staff" / role, role) for name, config in hospitals.items()
        }

    return Cast(
        stewards=staff("data_steward"),
        officers=staff("privacy_officer"),
        buyer=open_buyer(callers[BUYER]),
        applicant=open_buyer(callers[APPLICANT]),
        auditor=open_auditor(callers[AUDITOR]),
        applying=open_applicant(callers[BUYER]),
        office=reviewers(exchange, "exchange"),
        reviewers={name: reviewers(config, "hospital") for name, config in hospitals.items()},
    )
