"""The three programs, run once for all tests that only look."""

import pytest

from tests.infra.program import Declaration, declare


@pytest.fixture(scope="session")
def primary() -> Declaration:
    """The active site."""
    return declare("primary")


@pytest.fixture(scope="session")
def dr(primary: Declaration) -> Declaration:
    """The standby."""
    return declare("dr", outputs={"primary": primary.outputs})


@pytest.fixture(scope="session")
def link(primary: Declaration, dr: Declaration) -> Declaration:
    """What ties them."""
    return declare("link", outputs={"primary": primary.outputs, "dr": dr.outputs})


@pytest.fixture(scope="session")
def dr_active(primary: Declaration) -> Declaration:
    """The standby after a failover, with the other region dark."""
    config = {"role": "active", "peer": "dark"}
    return declare("dr", config=config, outputs={"primary": primary.outputs})


@pytest.fixture(params=["primary", "dr", "link", "dr_active"])
def declaration(request: pytest.FixtureRequest) -> Declaration:
    """Each program in each role in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["primary", "dr", "dr_active"])
def site(request: pytest.FixtureRequest) -> Declaration:
    """The site's program in each region and role."""
    return request.getfixturevalue(request.param)
