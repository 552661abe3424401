"""Envelopes on their way: channel accounts, sending and settling."""
