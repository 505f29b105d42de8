"""A service of the shop, and a client of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from machinery.serving.app import Service, application
from machinery.serving.settings import Settings
from shop import features


class Client(TestClient):
    """A client of the application in memory."""

    def __init__(self, service: Service) -> None:
        super().__init__(application(service), "http://shop", raise_server_exceptions=False)
        self.service = service


@pytest.fixture
def service(shop: Path) -> Callable[..., Service]:
    """Build the service with settings."""

    def build_service(**settings: Any) -> Service:
        defaults = {"model_folder": shop, "prediction_log": None, "demo": True}
        return Service(features, Settings(**{**defaults, "poll_seconds": 3600, **settings}))

    return build_service


@pytest.fixture
def serve(service: Callable[..., Service]) -> Iterator[Callable[..., Client]]:
    """Start the service with settings; it stops after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Client(service(**settings)))
