"""Which folder it is that was synced: not its name, and not only the id that it carries.

A copy carries the id too: `cp --archive`, `rsync --xattrs`, `tar --xattrs` and backups keep
extended attributes. What they do not keep is the inode. A copy may be older than the folder it was
made of, and to a sync old contents look like new edits.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from syncapi.client.folder.disk.birth_time import birth_ns


class Identity(BaseModel):
    """What a folder keeps when it is renamed, and nothing that is copied from it has.

    Attributes:
        birth_ns: when the inode was made; None where the system keeps no such time.
    """

    model_config = ConfigDict(frozen=True)

    device: int
    inode: int
    birth_ns: int | None = None

    @classmethod
    def of(cls, folder: Path) -> "Identity":
        """Raises `OSError` if there is no such folder."""
        status = folder.stat()
        birth = birth_ns(os.fspath(folder), status)
        return cls(device=status.st_dev, inode=status.st_ino, birth_ns=birth)

    def is_that_of(self, folder: Path) -> bool:
        """Whether a folder is still the same one.

        An inode's number is given out again, so its time of birth counts too. With that, the
        number of the device does not: it may change whenever a disk is mounted.
        """
        now = Identity.of(folder)
        if self.birth_ns is None or now.birth_ns is None:
            return (self.device, self.inode) == (now.device, now.inode)
        return (self.inode, self.birth_ns) == (now.inode, now.birth_ns)
