"""What must be equal when all have come to rest."""

from collections import Counter

from simulation.device import Device
from simulation.truth import LiveDocument
from syncapi.client.folder.ignore_rules import read_ignores


async def differences(device: Device, live: list[LiveDocument]) -> list[str]:
    """In what a folder differs from the server, but for what it told as a problem."""
    async with device.opened() as mirror:
        view = await mirror.look()
        refused = {problem.id for problem in view.plan.problems if problem.id is not None}
        refused_paths = {problem.path for problem in view.plan.problems if problem.id is None}
        paths = {entry.id: entry.path for entry in mirror.entries()}
    covers = read_ignores(device.root).covers
    tree = {path: sha256 for path, sha256 in device.tree().items() if not covers(path)}
    wanted = {d.id: d for d in live if d.id not in refused and not covers(d.path)}
    twice = Counter(d.path for d in wanted.values())
    held = {paths[document_id] for document_id in refused if document_id in paths}
    mine = {paths[document_id] for document_id in wanted if document_id in paths}
    extra = tree.keys() - mine - held - refused_paths
    # One that is held, and was renamed here, is not where it was last.
    if len(extra) <= sum(paths.get(document_id) not in tree for document_id in refused):
        held |= extra
    faults = [f"{device.name}: still to do {action}" for action in view.plan.actions]
    for document in wanted.values():
        path = paths.get(document.id)
        if twice[document.path] > 1 and (path is None or covers(path)):
            continue  # its name is another one's, and the one that it would get is ignored
        if path is None or tree.get(path) != document.sha256:
            faults.append(f"{device.name}: {document} is not at {path}")
        elif path != document.path and twice[document.path] == 1 and document.path not in held:
            faults.append(f"{device.name}: {document} is called {path}")
    return faults + [f"{device.name}: {path} is no document" for path in sorted(extra - held)]
