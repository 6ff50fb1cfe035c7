"""How an exchange carries studies to its hospitals, by configuration: regions between, or a stock SuperLink."""

from dataclasses import dataclass
from pathlib import Path

from hdex.node.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class RegionSites:
    """A region and the hospitals that dial it instead of the exchange."""

    id: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowerApi:
    """One of Flower's stock processes: where its API listens, the CA of its certificate, and the SuperExec secret."""

    address: str
    ca: Path
    secret_file: Path


@dataclass(frozen=True, slots=True)
class Supernode:
    """A hospital's SuperNode by the id that the SuperLink gave it: `hdex exchange supernode` registers its key."""

    site: str
    node: str

    def __post_init__(self) -> None:
        if not (self.node.isascii() and self.node.isdigit() and len(self.node) <= 20):
            raise ConfigInvalid(f"the node of {self.site} is a whole number in quotes, as the SuperLink gave it")


def require_regions(regions: tuple[RegionSites, ...]) -> None:
    """Raise ConfigInvalid unless each region has sites and no site has two."""
    sites = [site for region in regions for site in region.sites]
    if not all(region.sites for region in regions) or len(set(sites)) != len(sites):
        raise ConfigInvalid("regions: each needs sites, and no site belongs to two")
    if len({region.id for region in regions}) != len(regions):
        raise ConfigInvalid("regions: one stands there twice; name all of its sites in one place")
