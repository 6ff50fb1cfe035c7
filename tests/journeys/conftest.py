"""A stage for each xdist group of journeys, studies and market: built once, on one worker."""

from collections.abc import Iterator

import pytest
from tests.journeys.stage import Stage, raised


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with raised(tmp_path_factory.mktemp("consortium")) as made:
        made.reach("federate")  # so everybody has died and come back before any test, whatever their order
        yield made
