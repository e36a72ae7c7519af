"""``python -m syncapi``: the command line."""

from syncapi.cli.app import main

if __name__ == "__main__":
    main()
