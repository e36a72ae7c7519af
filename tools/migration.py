"""Make the file of a tree's next migration, from alembic/script.py.mako.

python tools/migration.py tenant "Documents have tags"
"""

import argparse
from pathlib import Path

from alembic.script import ScriptDirectory

ROOT = Path(__file__).resolve().parents[1]


def make_migration(scripts: Path, tree: str, name: str) -> Path:
    """Make it in that copy of the folder `alembic`, and return where it is.

    Args:
        scripts: the folder of both trees.
        tree: control or tenant.
        name: what the migration does, in a few words.
    """
    directory = ScriptDirectory(
        str(scripts),
        file_template="%(rev)s_%(slug)s",
        version_locations=[str(scripts / tree / "versions")],
        messaging_opts={"quiet": True},
    )
    number = int(directory.get_current_head() or 0) + 1
    script = directory.generate_revision(f"{number:04}", name, head="head")
    assert script is not None
    return Path(script.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", choices=("control", "tenant"))
    parser.add_argument("name", help="what the migration does")
    arguments = parser.parse_args()
    name = arguments.name.strip()
    if not name:
        parser.error('say what it does: make migration NAME="Documents have tags" TREE=tenant')
    print(make_migration(ROOT / "alembic", arguments.tree, name).relative_to(ROOT))


if __name__ == "__main__":
    main()
