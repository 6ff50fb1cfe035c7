"""Regional aggregators inside one process: each asks its own sites over a grid of its own."""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hdex.federated.apps.region import RegionSession
from hdex.federated.channel_memory import Handler
from hdex.federated.errors import StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.store_memory import MemoryStore
from hdex.federated.waiting import Clock, utc_now


class Regions:
    """`count` regions with keys of their own over the sites, as equal as can be."""

    def __init__(self, sites: Sequence[str], count: int, clock: Clock = utc_now) -> None:
        if not 0 <= count <= len(sites):
            raise StudyInvalid(f"{count} regions over {len(sites)} sites; each needs a site")
        self.sites = {f"region-{number + 1}": tuple(sorted(sites)[number::count]) for number in range(count)}
        self._clock = clock
        self._keys = {region: Ed25519PrivateKey.generate() for region in self.sites}

    def public_keys(self) -> dict[str, bytes]:
        """Return region -> raw Ed25519 public key, for the key holder."""
        return {region: key.public_key().public_bytes_raw() for region, key in self._keys.items()}

    def over(self, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
        """Return whom the coordinator asks: the regions, or the sites where there is none."""
        if not self.sites:
            return dict(handlers)
        return {region: self._session(region, handlers).handle for region in self.sites}

    def _session(self, region: str, handlers: Mapping[str, Handler]) -> RegionSession:
        own = {site: handlers[site] for site in self.sites[region]}
        members = {site: (site,) for site in own}
        sign, kept = self._keys[region].sign, MemoryStore()
        return RegionSession(region, members, InprocGrid(own), sign=sign, kept=kept, clock=self._clock)
