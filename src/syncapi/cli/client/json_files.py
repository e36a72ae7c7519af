"""Small JSON files that hold one model each: read whole, written whole, one writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from syncapi.cli.client.places import private
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.client import durable

M = TypeVar("M", bound=BaseModel)


class Record(Generic[M]):
    """A file with a model in it; where there is no file, the model's defaults."""

    def __init__(self, path: Path, model: type[M]) -> None:
        self._path = path
        self._model = model

    def read(self) -> M:
        """Read it.

        Raises:
            CommandFailed: it is not what was written.
        """
        try:
            return self._model.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return self._model()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise CommandFailed(
                f"{self._path} cannot be read: {where}: {first['msg']}",
                ExitCode.USAGE,
                hint=f"mend the file, or move it away and begin again: mv {self._path} /tmp",
            ) from error

    @contextmanager
    def change(self) -> Iterator[M]:
        """Give the model to change; it is written at the end, unless the block fails."""
        private(self._path.parent)
        with FileLock(self._path.with_suffix(".lock")):
            model = self.read()
            yield model
            durable.write_text(self._path, model.model_dump_json(indent=2) + "\n")
