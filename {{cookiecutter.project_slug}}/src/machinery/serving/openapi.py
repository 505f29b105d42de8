"""openapi: the endpoints of the service in; the OpenAPI document, and a page of it, out."""

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
    "408": "The body came too slowly",
    "413": "Body too large, or too many rows",
    "415": "Not JSON",
    "422": "A field that breaks the contract, named",
    "429": "Too many requests at once; see Retry-After",
    "503": "Not ready; see Retry-After",
}
REF = "#/components/schemas/{name}"
STYLE = "body {font: 16px/1.5 system-ui; max-width: 60rem; margin: auto} pre {overflow: auto}"


@dataclass(frozen=True)
class Endpoint:
    """One path of the service: what answers it, what it takes and what it gives."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    about: str = ""  # in the document, which leaves out paths without
    takes: Any = None
    gives: Any = None
    max_rows: int = 0  # of a list; 0 where only one object is taken
    guarded: bool = True  # needs an API key


def document(
    title: str, version: str, endpoints: Sequence[Endpoint], *, keys: bool
) -> dict[str, Any]:
    """The document; `keys` says whether the service asks for an API key."""
    endpoints = [each for each in endpoints if each.about]
    types = [each for endpoint in endpoints for each in (endpoint.takes, endpoint.gives) if each]
    _, schemas = msgspec.json.schema_components([*types, Problem], ref_template=REF)
    components: dict[str, Any] = {"schemas": schemas}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {
            each.path: {each.method.lower(): _operation(each, keys and each.guarded)}
            for each in endpoints
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


def _content(kind: Any, rows: int = 0) -> dict[str, Any]:
    if kind is str:
        return {"content": {"text/plain": {"schema": {"type": "string"}}}}
    one = {"$ref": REF.format(name=kind.__name__)} if kind else {"type": "object"}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": rows}
    return {"content": {JSON: {"schema": {"oneOf": [one, many]} if rows else one}}}


def page(document: dict[str, Any]) -> str:
    """A plain page of the document, which loads nothing from anywhere."""
    title = escape(document["info"]["title"])
    html = f'<!doctype html><html lang="en"><title>{title}</title><style>{STYLE}</style>'
    html += f'<h1>{title}</h1><p>For programs: <a href="openapi.json">openapi.json</a></p>'
    for heading, content in [
        *document["paths"].items(),
        *document["components"]["schemas"].items(),
    ]:
        text = msgspec.json.format(msgspec.json.encode(content)).decode()
        html += f"<h2>{escape(heading)}</h2><pre>{escape(text)}</pre>"
    return html
