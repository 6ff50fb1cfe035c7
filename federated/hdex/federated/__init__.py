"""Ask many, see only the sum. Public names; adapters (Flower, SQLite) are imported from their modules.

`hdex.federated.run.run_study` runs a study, `hdex.federated.apps.site.SiteSession` answers for a site,
`hdex.federated.keyholder.KeyHolder` opens sums, `hdex.federated.simulate.simulate` does all three in one process.
"""

from hdex.federated.errors import (
    AdmissionRefused,
    CiphertextInvalid,
    DecryptRefused,
    DesignSingular,
    DisclosureRefused,
    FederatedError,
    FrameInvalid,
    JournalConflict,
    KeyInvalid,
    NotConverged,
    Refusal,
    SiteLost,
    StudyInvalid,
    TooFewContributors,
    ValueOutOfRange,
)
from hdex.federated.study import Algorithm, Party, RosterEntry, Study

__all__ = [
    "AdmissionRefused",
    "Algorithm",
    "CiphertextInvalid",
    "DecryptRefused",
    "DesignSingular",
    "DisclosureRefused",
    "FederatedError",
    "FrameInvalid",
    "JournalConflict",
    "KeyInvalid",
    "NotConverged",
    "Party",
    "Refusal",
    "RosterEntry",
    "SiteLost",
    "Study",
    "StudyInvalid",
    "TooFewContributors",
    "ValueOutOfRange",
]
