"""openapi: the contract in; the OpenAPI document of the service, examples included, out."""

from collections.abc import Mapping
from typing import Any

from machinery.pipeline.data.contract import Column, Contract, Range
from .row_types import MAX_TEXT
from .settings import Settings

JSON = "application/json"
MOMENT = (  # no time zone, so it is no date-time of RFC 3339; leap days as far as a pattern goes
    "^([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|[12][0-9](0[48]|[2468][048]|[13579][26])-02-29)"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
)
TYPES = {"number": "number", "integer": "integer", "boolean": "boolean"}
REFUSALS = {
    "400": "No valid JSON, or a field twice",
    "401": "API key missing or wrong",
    "408": "The body came too slowly",
    "413": "Body too large or too many rows",
    "415": "Not JSON",
    "422": "A field that breaks the contract, named",
    "429": "Too many requests at once; see Retry-After",
    "503": "Not ready; see Retry-After",
}


def document(
    contract: Contract,
    feedback: Mapping[str, Column],
    settings: Settings,
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The document. `example` is a row that is valid; `feedback` describes its fields."""
    rows = {name: contract.columns[name] for name in contract.known_before()}
    outcome = {
        "request_id": "the request_id of an answer",
        "row": 0,
        "outcome": contract.classes[-1] if contract.classes else 0.0,
    }
    schemas = {
        "Row": row_schema(rows, f"What is known before {contract.target} is predicted", example),
        "Feedback": row_schema(feedback, "The true outcome of a row answered before", outcome),
        "Predictions": _predictions(contract),
        "Explanation": _object(
            explained={"type": "string", "description": "The output explained"},
            prediction={"type": "number", "description": "base plus all contributions"},
            base={"type": "number", "description": "Mean output over the stored examples"},
            contributions={"type": "object", "additionalProperties": {"type": "number"}},
            method={"type": "string"},
            **_ids(),
        ),
        "Accepted": _object(accepted={"type": "integer"}, request_id={"type": "string"}),
        "Problem": _object(
            error={"type": "string", "description": "One sentence, naming the field"},
            field={"type": ["string", "null"]},
            row={"type": ["integer", "null"], "description": "Place in the list, from 0"},
            request_id={"type": "string"},
        ),
    }
    many = settings.max_rows
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Predictions of {contract.target}", "version": str(contract.version)},
        "paths": {
            "/predict": _post("Predict one row or a list of rows", "Row", "Predictions", many),
            "/explain": _post("What each feature contributes to one answer", "Row", "Explanation"),
            "/feedback": _post("Add true outcomes, for training", "Feedback", "Accepted", many),
            "/health": _get("Alive"),
            "/ready": _get("A model is open, and answers its examples", refusals={"503"}),
            "/model": _get("Version, data, metrics, gate", {"401", "503"}, guarded=True),
            "/metrics": _get("Prometheus metrics", kind="text/plain"),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def row_schema(
    columns: Mapping[str, Column], about: str, example: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A row of the columns; those that may be null may be left out."""
    schema = {
        "type": "object",
        "description": about,
        "properties": {name: column_schema(column) for name, column in columns.items()},
        "required": [name for name, column in columns.items() if not column.nullable],
        "additionalProperties": False,
    }
    return schema | ({"examples": [example]} if example else {})


def column_schema(column: Column) -> dict[str, Any]:
    """A column's type, range or values, unit and description."""
    kind = TYPES.get(column.type, "string")
    unit = f", in {column.unit}" if column.unit else ""
    schema: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
    schema["description"] = f"{column.description}{unit}"
    match column.allowed:
        case list(values):
            schema["enum"] = [*values, *[None] * column.nullable]
        case Range(min=low, max=high):
            ends = {"minimum": low, "maximum": high}
            schema |= {name: end for name, end in ends.items() if end is not None}
    if column.type == "datetime":
        schema |= {"pattern": MOMENT, "examples": ["2026-01-31T06:00:00"]}
    elif kind == "string" and column.allowed is None:
        schema["maxLength"] = MAX_TEXT
    elif column.type == "integer":
        schema = {"minimum": -(2**63), "maximum": 2**63 - 1} | schema
    return schema


def _predictions(contract: Contract) -> dict[str, Any]:
    number = {"type": "number"}
    if contract.task == "regression":
        ends = {"type": "array", "items": {"type": ["number", "null"]}}
        row = _object(prediction=number, interval={**ends, "minItems": 2, "maxItems": 2})
    else:
        names = {"type": "string", "enum": contract.class_names}
        row = _object(
            prediction={**names, "description": "The class decided on, at the threshold"},
            probability=_object(**dict.fromkeys(contract.class_names, number)),
            set={"type": "array", "items": names, "description": "Holds the truth at `coverage`"},
        )
    return _object(
        predictions={"type": "array", "items": row},
        coverage={"type": "number", "description": "Share of sets or intervals with the truth"},
        decision_threshold={"type": ["number", "null"], "description": "Of the last class"},
        **_ids(),
    )


def _ids() -> dict[str, Any]:
    return {"model_version": {"type": "string"}, "request_id": {"type": "string"}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _post(about: str, takes: str, gives: str, many: int | None = None) -> dict[str, Any]:
    one = _ref(takes)
    rows = {"type": "array", "items": one, "minItems": 1, "maxItems": many}
    schema = one if many is None else {"oneOf": [one, rows]}
    return {
        "post": {
            "summary": about,
            "operationId": gives.lower(),
            "security": [{"key": []}],
            "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
            "responses": _responses(_content(JSON, _ref(gives)), set(REFUSALS)),
        }
    }


def _get(
    about: str, refusals: set[str] | None = None, guarded: bool = False, kind: str = JSON
) -> dict[str, Any]:
    answer = _content(kind, {"type": "string"} if kind != JSON else {"type": "object"})
    found: dict[str, Any] = {"summary": about, "responses": _responses(answer, refusals or set())}
    return {"get": found | ({"security": [{"key": []}]} if guarded else {})}


def _responses(answer: dict[str, Any], refusals: set[str]) -> dict[str, Any]:
    problem = _content(JSON, _ref("Problem"))
    refused = {status: {"description": REFUSALS[status], **problem} for status in sorted(refusals)}
    return {"200": {"description": "The answer", **answer}, **refused}


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
