"""One stage for all journeys of a worker: they carry the same xdist group, so it is built once."""

from collections.abc import Iterator

import pytest
from tests.journeys.stage import Stage, raised


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with raised(tmp_path_factory.mktemp("consortium")) as made:
        made.reach("federate")  # so everybody has died and come back before any test, whatever their order
        yield made
