"""Fields of a request that name a file, a folder or a media type: right, or refused by name."""

from collections.abc import Iterable

from syncapi.protocol.filenames import filename_fault, folder_fault
from syncapi.protocol.media_types import media_type_fault
from syncapi.server.domain.errors import InvalidInput, UnsupportedType


def checked_filename(name: str, field: str) -> str:
    """Return ``name`` as it is.

    Raises:
        InvalidInput: names ``field`` and says what is wrong.
    """
    return _checked(name, field, filename_fault(name))


def checked_folder(folder: str, field: str) -> str:
    """Return ``folder`` as it is.

    Raises:
        InvalidInput: names ``field`` and says what is wrong.
    """
    return _checked(folder, field, folder_fault(folder))


def checked_media_type(media_type: str, field: str) -> str:
    """Return ``media_type`` as it is.

    Raises:
        InvalidInput: names ``field`` and says what is wrong.
    """
    return _checked(media_type, field, media_type_fault(media_type))


def _checked(value: str, field: str, fault: str | None) -> str:
    if fault is not None:
        raise InvalidInput.of(field, fault)
    return value


def admit(media_type: str, patterns: Iterable[str]) -> None:
    """Hold ``media_type`` against patterns such as ``image/*``, without regard to case.

    Raises:
        UnsupportedType: none of them fits.
    """
    patterns = tuple(patterns)
    if not any(_fits(media_type.lower(), pattern.lower()) for pattern in patterns):
        raise UnsupportedType(
            f"Files of type {media_type} are not accepted here. Accepted: {', '.join(patterns)}."
        )


def _fits(media_type: str, pattern: str) -> bool:
    if pattern in {"*/*", "*", media_type}:
        return True
    return pattern.endswith("/*") and media_type.startswith(pattern.removesuffix("*"))
