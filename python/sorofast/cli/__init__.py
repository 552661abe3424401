"""The `sorofast` command. Modules are imported when their command runs, so that `--help` stays fast."""
