"""A plan carried out: what only the ledger learns, then the folder, then the server."""

from syncapi.client.api.client import Client
from syncapi.client.folder.apply.download_writer import DownloadWriter
from syncapi.client.folder.apply.local_executor import LocalExecutor
from syncapi.client.folder.apply.remote_executor import RemoteExecutor
from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.disk import Disk
from syncapi.client.folder.ignore_rules import read_ignores
from syncapi.client.folder.memory.memory import Memory
from syncapi.client.folder.observe.observer import MirrorOptions, View
from syncapi.client.folder.plan.checks import volume
from syncapi.client.folder.reports import MirrorReport, Progress
from syncapi.client.follower.follower import Follower
from syncapi.client.transfer.downloads import Downloader
from syncapi.client.transfer.uploads import Uploader


class PlanExecutor:
    """Changes the folder and the server as a plan says."""

    def __init__(
        self,
        disk: Disk,
        client: Client,
        follower: Follower,
        memory: Memory,
        options: MirrorOptions,
        progress: Progress,
    ) -> None:
        self._root = disk.root
        self._progress = progress
        parallel = options.parallel
        downloader = Downloader(
            client, parallel=parallel, on_bytes=lambda _id, size: progress.advance(size)
        )
        uploader = Uploader(
            client, parallel=parallel, on_bytes=lambda _digest, size: progress.advance(size)
        )
        writer = DownloadWriter(disk, downloader, follower.urls)
        self._local = LocalExecutor(disk, memory, writer, parallel=parallel)
        self._remote = RemoteExecutor(
            disk, memory, follower, uploader, new_id=options.new_id, parallel=parallel
        )

    async def carry_out(self, view: View, report: MirrorReport) -> bool:
        """Do what can be done; what cannot is reported, and does not stop the others.

        Returns:
            Whether it was done as planned. If not, something has changed under the plan, so that
            the same is to be planned again.

        Raises:
            SyncError: the server cannot be reached, or refuses all.
        """
        current = SyncPass(
            view.plan,
            {file.path: file for file in view.scan.files},
            view.documents,
            report,
            self._progress,
            lambda: read_ignores(self._root).lines == view.patterns,
        )
        if not current.rules_hold():
            return False
        self._progress.begin(*volume(view.plan, current.files))
        await self._local.carry_out(current)
        await self._remote.carry_out(current)
        return not current.is_raced
