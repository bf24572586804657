"""Programs that are wrong on purpose have tests that cannot be run."""

collect_ignore_glob = ["*.flow"]
