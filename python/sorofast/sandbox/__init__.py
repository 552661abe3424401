"""The local network as Python sees it: `process` starts it, `client` controls it, `seed` fills it, `audit`
reads it back.

None of this knows the engine: a test of any Soroban program can start a network, seed raw entries and read
what was applied.
"""
