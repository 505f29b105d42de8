"""The service of a shop, and a client of it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from machinery.serving.app import Service, application
from machinery.serving.settings import Settings
from shop import features


class Client:
    """A client of the application in memory, from its start to its end."""

    def __init__(self, service: Service) -> None:
        self.service, self._runner = service, asyncio.Runner()
        self.app = app = application(service)
        self._closed = False
        self._life = app.router.lifespan_context(app)
        self.run(self._life.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://shop")

    def run(self, coroutine: Any) -> Any:
        """Wait for something in the application's loop."""
        return self._runner.run(coroutine)

    def request(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask for a path."""
        answer: httpx.Response = self.run(self._client.request(method, path, **body))
        return answer

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST to a path."""
        return self.request("POST", path, **body)

    def get(self, path: str, **headers: Any) -> httpx.Response:
        """GET a path."""
        return self.request("GET", path, **headers)

    def close(self) -> None:
        """Stop the application, as a server would."""
        if self._closed:
            return
        self._closed = True
        self.run(self._client.aclose())
        self.run(self._life.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def serve(shop: Path) -> Iterator[Callable[..., Client]]:
    """Start the service, with settings; it is stopped after the test."""
    clients: list[Client] = []

    def start(**settings: Any) -> Client:
        plain = {"model_folder": shop, "prediction_log": None, "demo": True, "poll_seconds": 3600}
        clients.append(Client(Service(features, Settings(**{**plain, **settings}))))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def service(shop: Path) -> Callable[..., Service]:
    """Make the service itself, for what a client cannot do."""

    def build_service(**settings: Any) -> Service:
        plain = {"model_folder": shop, "prediction_log": None, "demo": True}
        return Service(features, Settings(**{**plain, **settings}))

    return build_service
