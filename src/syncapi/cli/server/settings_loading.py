"""Reads the settings of a verb, and explains what is wrong with them."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.server.settings import Settings


def load_settings() -> Settings:
    """Read the settings from the environment and ``.env``.

    Raises:
        CommandFailed: a setting is missing or wrong; the message names each variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        complaints = [_complaint(detail) for detail in error.errors(include_url=False)]
    except SettingsError as error:
        complaints = [f"{error}: write it as JSON"]
    raise CommandFailed(
        "the settings are not right. Set these in the environment or in .env:\n"
        + "\n".join(f"  {complaint}" for complaint in complaints),
        ExitCode.USAGE,
    )


def _complaint(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = "SYNCAPI_" + ".".join(str(part) for part in detail["loc"])
    field = str(detail["loc"][0])
    name = name.replace(field, field.upper(), 1)
    if detail["type"] != "missing":
        return f"{name}: {message}"
    described = Settings.model_fields[field].description if len(detail["loc"]) == 1 else None
    return f"{name} is missing" + (f": {described}" if described else "")
