"""The OpenAPI document: what this server answers, for machines and for code generators."""

from typing import Any

from pipeline.serving.limits import Limits

Schema = dict[str, Any]

OPEN = ("/v2", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/")
OPEN_SUFFIX = "/ready"
NUMBER, TEXT = {"type": "number"}, {"type": "string"}
REFUSALS = {
    "400": "empty body, malformed form, tensor or JSON, too many images",
    "401": "API key missing or wrong",
    "404": "no such path, model or version",
    "408": "the body took too long to arrive",
    "413": "the body is too large",
    "415": "a content type or encoding that is not taken",
    "422": "not a usable image",
    "503": "too much work, or the server is leaving: try again",
    "504": "no answer in time",
}


def describe(*, version: str, limits: Limits, keys: bool) -> Schema:
    """Return the document for a server with these limits, with or without API keys."""
    name, number = _path_parameter("name"), _path_parameter("version")
    paths: Schema = {
        "/predict": {"post": _predict(limits)},
        "/model": {"get": _get("What is known about the model", _ref("Model"))},
        "/v2": {"get": _get("Server metadata", _object())},
        "/v2/health/live": {"get": _get("Whether the process runs", _object())},
        "/v2/health/ready": {"get": _get("Whether requests are welcome", _object(), "503")},
        "/metrics": {"get": _text("Metrics for Prometheus", "text/plain")},
        "/openapi.json": {"get": _get("This document", _object())},
        "/": {"get": _text("A page to try it out", "text/html")},
    }
    for prefix, parameters in (
        ("/v2/models/{name}", [name]),
        ("/v2/models/{name}/versions/{version}", [name, number]),
    ):
        metadata = _get("Model metadata", _object(), "404")
        ready = _get("Whether this model answers", _object(), "404", "503")
        for suffix, method, operation in (
            ("", "get", metadata),
            ("/ready", "get", ready),
            ("/infer", "post", _infer()),
        ):
            paths[prefix + suffix] = {method: {**operation, "parameters": parameters}}
    if keys:
        _require_key(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image classifier",
            "version": version,
            "description": f"Bodies of at most {limits.body_bytes} bytes; "
            f"at most {limits.images} images in one form.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _security_schemes()},
    }


def _predict(limits: Limits) -> Schema:
    image: Schema = {"schema": {}}  # OpenAPI 3.1: any bytes
    files = {
        "type": "array",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
        "maxItems": limits.images,
    }
    form = {"schema": {"type": "object", "properties": {"image": files}}}
    answer = {"oneOf": [_ref("Prediction"), _ref("Predictions")]}
    return {
        "summary": "Classify one image, or each file of a form",
        "parameters": [
            {
                "name": "cam",
                "in": "query",
                "description": "1 asks for the heat-map, where the model has one",
                "schema": {"enum": ["0", "1"]},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": image, "multipart/form-data": form},
        },
        "responses": _responses(answer, *REFUSALS),
    }


def _infer() -> Schema:
    return {
        "summary": "Open Inference Protocol: probabilities of N images given as pixels",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref("InferRequest")},
                "application/octet-stream": {"schema": {}},
            },
        },
        "responses": _responses(_ref("InferResponse"), *REFUSALS),
    }


def _get(summary: str, schema: Schema, *statuses: str) -> Schema:
    return {"summary": summary, "responses": _responses(schema, *statuses)}


def _text(summary: str, media_type: str) -> Schema:
    content = {media_type: {"schema": TEXT}}
    return {"summary": summary, "responses": {"200": {"description": "OK", "content": content}}}


def _responses(schema: Schema, *statuses: str) -> Schema:
    error = {"application/json": {"schema": _ref("Error")}}
    good = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    bad = {
        status: {"description": REFUSALS[status], "content": error} for status in sorted(statuses)
    }
    if "503" in bad:
        header = {"description": "seconds to wait", "schema": {"type": "integer"}}
        bad["503"]["headers"] = {"Retry-After": header}
    return {"200": good, **bad}


def _require_key(paths: Schema) -> None:
    for path, operations in paths.items():
        if path not in OPEN and not path.endswith(OPEN_SUFFIX):
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"header": []}]
                error = {"application/json": {"schema": _ref("Error")}}
                operation["responses"]["401"] = {"description": REFUSALS["401"], "content": error}


def _security_schemes() -> Schema:
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties} if properties else {"type": "object"}


def _required(**properties: Schema) -> Schema:
    return {**_object(**properties), "required": list(properties)}


TENSOR = _required(name=TEXT, shape={"type": "array", "items": {"type": "integer"}}, datatype=TEXT)
SCHEMAS: Schema = {
    "Error": _required(error=TEXT),
    "Prediction": {
        **_required(
            label=TEXT,
            probabilities={"type": "object", "additionalProperties": NUMBER},
            unsure={"type": "boolean"},
            model=_required(name=TEXT, version=TEXT),
            timing_ms=_required(queue=NUMBER, decode=NUMBER, model=NUMBER),
        ),
        "description": "label is the most probable class; unsure tells that its probability is "
        "below the model's threshold. cam, rows of numbers, is there where it was asked for.",
    },
    "Predictions": _required(
        predictions={
            "type": "array",
            "items": {"anyOf": [_ref("Prediction"), _ref("Refused")]},
        }
    ),
    "Refused": _required(name=TEXT, error=TEXT, status={"type": "integer"}),
    "Model": _required(
        name=TEXT,
        version=TEXT,
        classes={"type": "array", "items": TEXT},
        arch=TEXT,
        size_px={"type": "integer"},
        fit=TEXT,
        threshold={"type": ["number", "null"]},
        cam={"type": "boolean"},
        provider=TEXT,
        sha256=TEXT,
        metadata={"type": "object", "additionalProperties": TEXT},
    ),
    "InferRequest": _required(inputs={"type": "array", "items": TENSOR, "minItems": 1}),
    "InferResponse": _required(
        model_name=TEXT, model_version=TEXT, outputs={"type": "array", "items": TENSOR}
    ),
}
