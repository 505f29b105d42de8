"""openapi: the types of requests and replies in; the OpenAPI document, and a page of it, out."""

from html import escape
from typing import Any

import msgspec

JSON = "application/json"
REFUSALS = {
    "400": "Not valid JSON, or a field given twice",
    "401": "API key missing or wrong",
    "408": "The body came too slowly",
    "413": "Body too large, or too many rows",
    "415": "Not JSON",
    "422": "A field that breaks the contract, named",
    "429": "Too many requests at once; see Retry-After",
    "503": "Not ready; see Retry-After",
}
REF = "#/components/schemas/{name}"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#8882;padding:.75rem;overflow:auto}"
)


class Path:
    """One path of the service: its method, what it takes and what it gives."""

    def __init__(
        self,
        method: str,
        about: str,
        takes: Any = None,
        gives: Any = None,
        *,
        rows: int = 0,
        guarded: bool = True,
        refusals: str = "",
    ) -> None:
        """`rows` is how many rows a list may hold, none where only one object is taken."""
        self.method, self.about, self.takes, self.gives = method, about, takes, gives
        self.rows, self.guarded = rows, guarded
        self.refusals = [*REFUSALS] if method == "post" else refusals.split()


def document(
    title: str, version: str, paths: dict[str, Path], problem: Any, *, keys: bool
) -> dict[str, Any]:
    """The document; `keys` says whether the service asks for an API key."""
    types = [each for path in paths.values() for each in (path.takes, path.gives)]
    types = [each for each in types if each is not None and not isinstance(each, str)]
    _, schemas = msgspec.json.schema_components([*types, problem], ref_template=REF)
    components: dict[str, Any] = {"schemas": schemas}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {
            name: {path.method: _operation(path, problem, keys=keys)}
            for name, path in paths.items()
        },
        "components": components,
    }


def _operation(path: Path, problem: Any, *, keys: bool) -> dict[str, Any]:
    guarded = keys and path.guarded
    refusals = {each for each in path.refusals if guarded or each != "401"}
    responses = {"200": {"description": "The answer", **_content(path.gives)}}
    for status in sorted(refusals):
        responses[status] = {"description": REFUSALS[status], **_content(problem)}
    operation: dict[str, Any] = {"summary": path.about, "responses": responses}
    if path.takes is not None:
        operation["requestBody"] = {"required": True, **_content(path.takes, path.rows)}
    return operation | ({"security": [{"key": []}]} if guarded else {})


def _content(kind: Any, rows: int = 0) -> dict[str, Any]:
    if isinstance(kind, str):
        return {"content": {kind: {"schema": {"type": "string"}}}}
    one = {"$ref": REF.format(name=kind.__name__)} if kind else {"type": "object"}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": rows}
    return {"content": {JSON: {"schema": {"oneOf": [one, many]} if rows else one}}}


def page(document: dict[str, Any]) -> str:
    """A plain page of the document, which loads nothing from anywhere."""
    title = escape(document["info"]["title"])
    parts = [f"<h1>{title}</h1><p>Machine-readable: <a href='openapi.json'>openapi.json</a></p>"]
    for name, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(name)}</h2>")
            key = " Needs an API key." if "security" in operation else ""
            parts.append(f"<p>{escape(operation['summary'])}.{key}</p><dl>")
            for status, response in operation["responses"].items():
                parts.append(f"<dt>{status}</dt><dd>{escape(response['description'])}</dd>")
            parts.append("</dl>")
    for name, schema in document["components"]["schemas"].items():
        text = msgspec.json.format(msgspec.json.encode(schema)).decode()
        parts.append(f"<h2>{escape(name)}</h2><pre>{escape(text)}</pre>")
    head = f"<meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"
