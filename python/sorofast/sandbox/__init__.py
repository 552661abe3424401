"""The local network as Python sees it.

`process` starts it, `client` controls it, `seed` fills it, `evidence` reads back what happened on it and
`audit` counts that; `sdk` and `durations` serve them. None of this knows the engine: a test of any Soroban
program can start a network, put raw entries and see what was applied.
"""
