"""Slurm's partitions: one that does not exist is said before anything is submitted, not by each job in turn."""

import subprocess
from collections.abc import Mapping

from videobert.errors import UserError


def check_partitions(wanted: Mapping[str, str]) -> None:
    """Raises UserError where a rule is to run in a partition that the cluster does not have.

    Args:
        wanted: rule -> partition.
    """
    known = _partitions()
    for rule, partition in wanted.items() if known else ():
        if missing := set(partition.split(",")) - known:
            raise UserError(
                f"slurm_partition of {rule} is {partition!r}, but this cluster has no {', '.join(sorted(missing))}: it has "
                f"{', '.join(sorted(known))}. Correct it in the profile (set-resources, default-resources)"
            )


def _partitions() -> set[str]:
    """Their names; none where Slurm does not say."""
    try:
        done = subprocess.run(["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {*done.stdout.split()} if done.returncode == 0 else set()
