"""Whatever happens on both sides, wherever carrying out stops: both end alike, nothing is lost."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.folder_model import Disk, Server
from fixtures.folder_world import Crash, World
from syncapi.client.folder.names import split
from syncapi.client.folder.rules import Direction, Rules

PATHS = ("a", "b", "A.txt", "a.txt", "d/a", "d/b", "d", "d/e/a", "e/a.txt", "D/b")
CONTENTS = ("", "one", "two", "three", "four", "five")

Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "write", "edit", "save", "remove", "rename", "swap", "copy", "backup", "shift",
                "there_put", "there_edit", "there_rename", "there_swap", "there_delete",
                "there_shift",
            )
        ),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 5),
    ),
    max_size=8,
)  # fmt: skip
crashes: st.SearchStrategy[Crash] = st.sampled_from(("no", "before", "between"))
halts = st.one_of(st.none(), st.tuples(st.integers(0, 12), crashes))
histories = st.lists(st.tuples(steps, halts), min_size=1, max_size=5)
rules = st.builds(Rules, case_insensitive=st.booleans())


def happen(world: World, step: Step) -> None:
    """Let a person or another client do something, where it can be done."""
    kind, i, j, c = step
    if kind.startswith("there_"):
        _happen_there(world, kind, (i, j), CONTENTS[c])
    elif kind == "write":
        if world.disk.can_have(PATHS[j]):
            world.disk.write(PATHS[j], CONTENTS[c])
    elif kind == "shift":
        _shift(world.disk)
    elif world.disk.files:
        _happen_here(world.disk, kind, (i, j), CONTENTS[c])


def _shift(disk: Disk) -> None:
    """A folder is renamed."""
    for path in sorted(disk.files):
        if path.startswith("d/") and disk.can_have(f"f/{path[2:]}"):
            disk.rename(path, f"f/{path[2:]}")


def _happen_here(disk: Disk, kind: str, which: tuple[int, int], content: str) -> None:
    files, target = sorted(disk.files), PATHS[which[1]]
    source, other = (files[number % len(files)] for number in which)
    free = disk.can_have(target) and disk.at(target) is None
    match kind:
        case "edit":
            disk.edit(source, content)
        case "save":  # by a new file that is renamed over the old one
            disk.write(source, content)
        case "remove":
            disk.remove(source)
        case "rename" if disk.can_have(target) and disk.at(target) != source:
            disk.rename(source, target)
        case "copy" if free:
            disk.write(target, disk.files[source].content)
        case "swap":
            disk.files[source], disk.files[other] = disk.files[other], disk.files[source]
        case "backup" if free:
            disk.rename(source, target)
            disk.write(source, content)
        case _:
            pass  # it cannot be done


def _happen_there(world: World, kind: str, which: tuple[int, int], content: str) -> None:
    server, live = world.server, sorted(world.server.live())
    folder, filename = split(PATHS[which[1]])
    if kind == "there_put":
        server.put(world.new_id(), folder, filename, content)
    if kind == "there_put" or not live:
        return
    one, other = (live[number % len(live)] for number in which)
    first, second = server.documents[one], server.documents[other]
    match kind:
        case "there_edit":
            server.put(one, first.folder, first.filename, content)
        case "there_rename":
            server.put(one, folder, filename, first.content)
        case "there_delete":
            server.delete(one)
        case "there_swap" if one != other:
            server.put(one, second.folder, second.filename, first.content)
            server.put(other, first.folder, first.filename, second.content)
        case _:
            _shift_there(server)


def _shift_there(server: Server) -> None:
    for document, stored in server.live().items():
        if stored.folder == "d":
            server.put(document, "g/d", stored.filename, stored.content)


@settings(max_examples=400, deadline=None)
@given(histories, rules, st.booleans())
def test_whatever_happens_both_sides_end_alike_and_nothing_is_lost(
    history: list[tuple[list[Step], tuple[int, Crash] | None]], rules: Rules, tells_birth: bool
) -> None:
    world = World(rules, tells_birth)
    for steps, halt in history:
        for step in steps:
            happen(world, step)
        planned = world.plan()
        if halt is None:
            world.carry_out(planned)
        else:
            world.carry_out(planned, stop=halt[0], crash=halt[1])
    world.check_rest(world.sync())


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
def test_the_same_states_in_any_order_make_the_same_plan(
    history: list[tuple[list[Step], tuple[int, Crash] | None]], rules: Rules, random: Random
) -> None:
    world = World(rules)
    for steps, _ in history:
        for step in steps:
            happen(world, step)
        before = world.plan_of(world.server.remotes(), list(world.ledger.values()))
        remotes, bases = world.server.remotes(), list(world.ledger.values())
        random.shuffle(remotes)
        random.shuffle(bases)
        assert world.plan_of(remotes, bases) == before
        world.carry_out(world.plan())


@settings(max_examples=150, deadline=None)
@given(histories, st.sampled_from(("pull", "push")), st.booleans())
def test_one_direction_changes_one_side_only_and_both_go_on_from_there(
    history: list[tuple[list[Step], tuple[int, Crash] | None]],
    direction: Direction,
    insensitive: bool,
) -> None:
    world = World(Rules(case_insensitive=insensitive))
    both = world.rules
    for steps, halt in history:
        for step in steps:
            happen(world, step)
        world.rules = replace(both, direction=direction)
        files, documents = dict(world.disk.files), dict(world.server.documents)
        for _ in range(6):
            planned = world.plan()
            world.carry_out(planned)
        assert not world.plan().actions, "it comes to rest"
        if direction == "pull":
            assert world.server.documents == documents
            edits = {file.content for file in files.values()}
            assert edits <= world.contents()
        else:
            assert world.disk.files == files
        world.rules = both
        if halt is not None:
            world.carry_out(world.plan(), stop=halt[0], crash=halt[1])
    world.check_rest(world.sync())


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.booleans())
def test_whoever_changes_something_while_a_plan_is_carried_out_loses_nothing(
    history: list[tuple[list[Step], tuple[int, Crash] | None]], rules: Rules, tells_birth: bool
) -> None:
    world = World(rules, tells_birth)
    for steps, _ in history:
        planned = world.plan()
        for step in steps:
            happen(world, step)
        world.carry_out(planned, careful=True)
    world.check_rest(world.sync())


@settings(max_examples=150, deadline=None)
@given(histories, st.sets(st.sampled_from(("d", "a", "d/e", "e")), min_size=1))
def test_what_could_not_be_read_is_left_alone_and_made_up_for_later(
    history: list[tuple[list[Step], tuple[int, Crash] | None]], unknown: set[str]
) -> None:
    world = World()
    for steps, _ in history:
        for step in steps:
            happen(world, step)
        world.disk.unknown = unknown
        hidden = {path: i for path, i in world.disk.files.items() if world.disk.is_unknown(path)}
        there = {
            key: doc
            for key, doc in world.server.live().items()
            if key in world.ledger and world.ledger[key].path in hidden
        }
        world.sync()
        assert hidden.items() <= world.disk.files.items()
        assert there.items() <= world.server.live().items()
        world.disk.unknown = set()
        world.carry_out(world.plan())
    world.check_rest(world.sync())


@settings(max_examples=200, deadline=None)
@given(histories, rules, st.integers(0, 4), st.booleans())
def test_a_server_that_was_restored_gets_back_what_it_lost(
    history: list[tuple[list[Step], tuple[int, Crash] | None]],
    rules: Rules,
    backed_up: int,
    told: bool,
) -> None:
    world = World(rules)
    backup = dict(world.server.documents)
    for number, (steps, _) in enumerate(history):
        for step in steps:
            happen(world, step)
        world.sync()
        if number == backed_up:
            backup = dict(world.server.documents)
    here = {inode.content for inode in world.disk.files.values()}
    world.restore_server(backup, told=told)
    for step in history[0][0]:
        happen(world, step)
    world.check_rest(world.sync())
    if told and not history[0][0]:
        assert here <= {doc.content for doc in world.server.live().values()}
