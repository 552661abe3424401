"""`sorofast demo`: a local network full of tasks, the real engine in front of it, and an audit of what it
did.

`network` makes the chain, `fleet` runs the engine as a user would, `scenario` puts them together and
judges, `progress` shows it. Tests of whole fleets (kills, two fleets, suspended workers) are built from the
same pieces.
"""
