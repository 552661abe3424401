"""The keeper's processes: one supervisor, N workers, one of them also the follower."""
