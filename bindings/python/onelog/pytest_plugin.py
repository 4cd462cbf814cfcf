"""The pytest fixture ``onelog_broker``, found by pytest through the entry point ``pytest11``."""

from __future__ import annotations

from typing import Iterator

import pytest

from .broker import TestBroker


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "onelog(topics, overrides, ...): what the onelog_broker fixture gives to onelog.TestBroker",
    )


@pytest.fixture
def onelog_broker(request: pytest.FixtureRequest) -> Iterator[TestBroker]:
    """A new broker for this test; ``@pytest.mark.onelog(topics=["orders:3"])`` says how it is started."""
    marker = request.node.get_closest_marker("onelog")
    arguments = {} if marker is None else marker.kwargs
    with TestBroker(**arguments) as broker:
        yield broker
