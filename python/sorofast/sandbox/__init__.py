"""The local network as Python sees it, for any contract.

`process` starts it, `client` controls it and reads back what was applied on it; `calls`, `files`, `find` and
`durations` serve them. None of this knows a contract or the engine: a test of any Soroban program can start a network,
put raw entries and see what happened.
"""
