"""The API docs at /docs, rendered from the OpenAPI document without scripts or external resources."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)
_folder = files("lostark_api") / "documentation"
_templates = Environment(loader=PackageLoader("lostark_api", "documentation"), autoescape=select_autoescape())
_CACHE = {"Cache-Control": "public, max-age=300"}


@router.get("/docs")
async def docs(request: Request) -> Response:
    """All routes with their parameters and an example URL."""
    document = request.app.openapi()
    html = _templates.get_template("docs.html").render(api=document, groups=group_operations(document))
    return HTMLResponse(html, headers=_CACHE)


@router.get("/docs.css")
async def style() -> Response:
    """Its stylesheet."""
    return Response((_folder / "docs.css").read_bytes(), headers=_CACHE, media_type="text/css")


def group_operations(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by tag, with an example URL each."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            described = {
                **operation,
                "path": path,
                "method": method.upper(),
                "try": None if method != "get" or "{" in path else path,
                "parameters": [{**p, "kind": _describe_type(p["schema"])} for p in parameters],
                "response": _get_response_type(operation),
            }
            groups.setdefault(operation.get("tags", ["other"])[-1], []).append(described)
    return groups


def _describe_type(schema: dict[str, Any]) -> str:
    options = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    first = options[0] if options else schema
    if "enum" in first:
        return " | ".join(map(str, first["enum"]))
    if "const" in first:
        return str(first["const"])
    limits = [f"{sign} {first[name]}" for name, sign in (("minimum", "≥"), ("maximum", "≤")) if name in first]
    return ", ".join([first.get("format") or first.get("type", "text"), *limits])


def _get_response_type(operation: dict[str, Any]) -> str:
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return schema.get("$ref", "").rpartition("/")[2] or ", ".join(content)
