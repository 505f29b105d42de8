"""Describe the endpoints of the service as an OpenAPI document, and as a page."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .replies import Problem

JSON = "application/json"
REFUSALS = {
    "400": "Not valid JSON",
    "401": "API key missing or wrong",
    "408": "The body took too long to arrive",
    "413": "Body too large, or too many rows",
    "415": "Not JSON",
    "422": "A field that breaks the contract, named",
    "429": "Too many concurrent requests; see Retry-After",
    "503": "Not ready; see Retry-After",
}
REF = "#/components/schemas/{name}"
STYLE = "body {font: 16px/1.5 system-ui; max-width: 60rem; margin: auto} pre {overflow: auto}"


@dataclass(frozen=True)
class Endpoint:
    """One path of the service: its handler, and the types of its request and response."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    about: str = ""  # endpoints without it are not in the document
    takes: Any = None
    gives: Any = None
    max_rows: int = 0  # of a list; 0 if only one object is accepted
    guarded: bool = True  # needs an API key


def document(
    title: str, version: str, endpoints: Sequence[Endpoint], *, keys: bool
) -> dict[str, Any]:
    """The document; `keys` is whether the service requires an API key."""
    documented = [endpoint for endpoint in endpoints if endpoint.about]
    types = [kind for endpoint in documented for kind in (endpoint.takes, endpoint.gives) if kind]
    _, schemas = msgspec.json.schema_components([*types, Problem], ref_template=REF)
    components: dict[str, Any] = {"schemas": schemas}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {
            endpoint.path: {
                endpoint.method.lower(): _operation(endpoint, keys and endpoint.guarded)
            }
            for endpoint in documented
        },
        "components": components,
    }


def _operation(endpoint: Endpoint, guarded: bool) -> dict[str, Any]:
    responses = {"200": {"description": "The answer", **_content(endpoint.gives)}}
    for status, reason in REFUSALS.items():
        if guarded if status == "401" else endpoint.takes is not None:
            responses[status] = {"description": reason, **_content(Problem)}
    operation: dict[str, Any] = {"summary": endpoint.about, "responses": responses}
    if endpoint.takes is not None:
        body = _content(endpoint.takes, endpoint.max_rows)
        operation["requestBody"] = {"required": True, **body}
    return operation | ({"security": [{"key": []}]} if guarded else {})


def _content(kind: Any, max_rows: int = 0) -> dict[str, Any]:
    if kind is str:
        return {"content": {"text/plain": {"schema": {"type": "string"}}}}
    one = {"$ref": REF.format(name=kind.__name__)} if kind else {"type": "object"}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": max_rows}
    return {"content": {JSON: {"schema": {"oneOf": [one, many]} if max_rows else one}}}


def page(document: dict[str, Any]) -> str:
    """A plain page of the document, which loads nothing."""
    title = escape(document["info"]["title"])
    html = f'<!doctype html><html lang="en"><title>{title}</title><style>{STYLE}</style>'
    html += f'<h1>{title}</h1><p>For programs: <a href="openapi.json">openapi.json</a></p>'
    for heading, content in (document["paths"] | document["components"]["schemas"]).items():
        text = msgspec.json.format(msgspec.json.encode(content)).decode()
        html += f"<h2>{escape(heading)}</h2><pre>{escape(text)}</pre>"
    return html
