"""What happened to a registry's tasks, told from the ledger alone; and a registry full of tasks to begin with.

`evidence` gathers what was applied as a `history`, `report` counts it, `dependencies` knows since when a task was free
to run, `seed` writes the entries of a registry with its tasks. This is what knows our registry; the sandbox itself
serves any contract. None of it knows the engine, so a counter can contradict the engine it judges.
"""
