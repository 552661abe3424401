"""`python -m sorofast` is the `sorofast` command."""

from __future__ import annotations

from sorofast.cli.root import main

if __name__ == "__main__":
    main()
