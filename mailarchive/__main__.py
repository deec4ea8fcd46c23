"""Lets `python -m mailarchive` do what the command does."""

from mailarchive.cli import main

if __name__ == "__main__":
    main()
