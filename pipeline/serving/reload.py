"""A new version of the model takes over while the old one answers."""

import asyncio
import logging

from pipeline.core.errors import PipelineError
from pipeline.serving.model import load
from pipeline.serving.service import Service
from pipeline.serving.versions import Place, Stamp, Version

log = logging.getLogger(__name__)


class Watch:
    """Looks now and then whether another version should be served, and sees to it.

    Loading and its checks happen in a thread beside the lanes. What fails is reported once, and
    tried again only when its files change; meanwhile the old version answers.

    Args:
        service: takes the new version.
        place: where versions lie.
        loaded: the version that `service` began with.
        device: see `load`.
        every_s: seconds between two looks.
    """

    def __init__(
        self, service: Service, place: Place, loaded: Version, *, device: str, every_s: float
    ) -> None:
        self._service, self._place = service, place
        self._device, self._every_s = device, every_s
        self._seen = _identity(loaded)
        self._arriving: tuple[str, Stamp] | None = None
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; called on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def look_now(self) -> None:
        """Look at once instead of later, and try again what was refused."""
        self._seen = ("", ())
        self._hurry.set()

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            hurried = self._hurry.is_set()
            self._hurry.clear()
            try:
                await self.look(hurried=hurried)
            except Exception:
                log.exception("looking for a new version failed; the old one goes on")

    async def look(self, *, hurried: bool = False) -> None:
        """Look once: a version whose files have been still since the last look is loaded."""
        try:
            version = await asyncio.to_thread(self._place.newest)
        except PipelineError:
            return
        if version.stamp[0] is None:  # nothing there any more; what is loaded needs no file
            return
        identity = _identity(version)
        if identity == self._seen:
            self._arriving = None
            return
        if identity != self._arriving and not hurried:  # it may still be being copied
            self._arriving = identity
            return
        self._arriving, self._seen = None, identity
        await self._take(version)

    async def _take(self, version: Version) -> None:
        old = self._service.model
        try:
            new = await asyncio.to_thread(load, version, device=self._device)
        except PipelineError as error:
            self._service.refuse_version(version.number)
            log.error(
                "version %s refused, version %s goes on: %s", version.number, old.version, error
            )
            return
        if (new.version, new.sha256) == (old.version, old.sha256):
            self._service.refused_version = None
            return
        if new.classes != old.classes:
            log.warning("version %s has other classes: %s", new.version, ", ".join(new.classes))
        self._service.adopt(new)
        log.info("version %s answers now, instead of version %s", new.version, old.version)


def _identity(version: Version) -> tuple[str, Stamp]:
    return version.number, version.stamp
