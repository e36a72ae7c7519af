"""Swagger UI from the assets of an installed package: the page asks no other host."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from syncapi.server.web.query import refuse_unknown_query

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_A_DAY = {"Cache-Control": "public, max-age=86400"}
# Of scripts only ours and the one that starts Swagger UI, since the page keeps a token.
# Swagger UI styles by inline rules.
_POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; img-src 'self' data:; "
    "script-src 'self' '{start}'; style-src 'self' 'unsafe-inline'"
)
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_PARAMETERS = {
    "persistAuthorization": True,
    "displayRequestDuration": True,
    "filter": True,
    "tryItOutEnabled": True,
    "validatorUrl": None,
}

router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_unknown_query)])


@router.get("/docs")
async def swagger_ui(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=f"{request.app.title} API",
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/favicon-32x32.png",
        swagger_ui_parameters=_PARAMETERS,
    )
    page.headers["Content-Security-Policy"] = _POLICY.format(start=_hash_of_script(page.body))
    page.headers["Referrer-Policy"] = "no-referrer"
    return page


@router.get("/docs/{asset}")
def asset(asset: str) -> Response:
    if asset not in _ASSETS:
        raise HTTPException(404)
    content = files("fastapi_swagger").joinpath("resources", asset).read_bytes()
    return Response(content, media_type=_ASSETS[asset], headers=_A_DAY)


def _hash_of_script(page: bytes | memoryview) -> str:
    """The source expression of the page's one inline script (CSP Level 3 §2.3.1)."""
    [script] = _INLINE_SCRIPT.findall(page)
    return f"sha256-{b64encode(sha256(script).digest()).decode()}"
