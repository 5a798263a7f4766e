"""The application: all routes on one ledger."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from runfold.http import problems
from runfold.http.access import Access
from runfold.http.commands import add_commands
from runfold.http.questions import add_questions
from runfold.http.service import Limits, Service
from runfold.ledger.ledger import Ledger

TITLE = "Runfold"
DESCRIPTION = "The ledger of record for AI-agent runs: record, ask, approve, follow, and look at any moment of the past."


def create_app(ledger: Ledger, access: Access, limits: Limits | None = None) -> FastAPI:
    """The service on a ledger, for whoever `access` lets in."""
    service = Service(ledger, access, limits or Limits())
    app = FastAPI(title=TITLE, description=DESCRIPTION, openapi_url=None, docs_url=None, redoc_url=None)
    problems.add_handlers(app)
    router = APIRouter()
    add_commands(router, service)
    add_questions(router, service)
    app.include_router(router)
    app.state.service = service
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document: what FastAPI reads off the routes, with our errors and our keys."""
    document = get_openapi(title=TITLE, description=DESCRIPTION, version="1", routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = dict(problems.SCHEMA)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    failed = {"content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            for status, meaning in _FAILURES.items():
                operation["responses"][status] = {"description": meaning, **failed}
    return document


_FAILURES = {
    "400": "The question cannot be asked so.", "401": "There is no key, or it is not good.", "403": "The key is not for this.",
    "404": "There is nothing of that id in this tenant.", "409": "The rules or somebody else were in the way.",
    "412": "The stream is not at the version of `If-Match`.", "413": "The body is too large.",
    "415": "The body is not JSON.", "422": "What was sent can never be recorded; `path` points at the field.",
    "429": "Too many requests.", "503": "The database, or a read model, is not there yet; try again.",
}  # fmt: skip
