"""What an answer contains: values that a command prints as they are (`-o json`) or formats for people.

Each view is a frozen struct and a function that reads it, from the chain or from Redis. A field that does not apply is
unset, and then no part of the answer; one that applies and has no value is None.
"""
