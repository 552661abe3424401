"""The registry contract's tasks: their rows, their full configuration, and reading them from the chain."""
