"""``python -m gcsim``: the command line."""

from gcsim.cli.main import main

if __name__ == "__main__":
    main()
