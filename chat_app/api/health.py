"""What an orchestrator asks: `/healthz`, whether the process is alive, and `/readyz`, whether it can do its work."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from chat_app.service import get_service

router = APIRouter(include_in_schema=False)
NO_STORE = {"Cache-Control": "no-store"}


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def alive() -> JSONResponse:
    """Nothing is asked of anything: what fails outside is no reason to start the process anew."""
    return JSONResponse({"status": "ok"}, headers=NO_STORE)


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def ready() -> JSONResponse:
    """`{"status": "ok" | "unavailable", "database": …, "model": …, "server": …}`: each "ok", or a sentence."""
    checks = await get_service().checks()
    well = all(told is None for told in checks.values())
    body = {"status": "ok" if well else "unavailable"} | {name: told or "ok" for name, told in checks.items()}
    return JSONResponse(body, 200 if well else 503, NO_STORE)
