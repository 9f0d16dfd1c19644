"""Passwords and cookies: how they come in, and how they are kept out of what is written.

A setting names a secret as ${NAME}, a variable of the environment: what stands in a configuration comes to be seen in the
list of processes, in Snakemake's messages and in its memory of what was run. Cookies come in a file.
"""

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from videobert.errors import UserError


class Secrets:
    """The secrets that one process has come to know."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def hide(self, text: str) -> str:
        """A message, with every secret in it blotted out."""
        for secret in sorted(self.known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def fill(self, value: Any) -> Any:
        """A setting, however deep, with its ${NAME}s replaced. Raises UserError when a variable is not set."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return re.sub(r"\$\{(\w+)\}", self._variable, value) if isinstance(value, str) else value

    def cookies(self, path: Path) -> io.StringIO:
        """The cookies of a file in Netscape's format, for yt-dlp, as text in memory: it would write to the file, and so
        would the jobs beside this one. Raises UserError when there are none.

        Lines that are no cookies are left out here, since yt-dlp would show them in the log.
        """
        try:
            lines = path.expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"download.cookies: {path} cannot be read: {error}") from None
        kept, bad = [], []
        for number, line in enumerate(lines, 1):
            cells = line.removeprefix("#HttpOnly_").split("\t")
            if len(cells) == 7 and re.fullmatch(r"([0-9]+(\.[0-9]+)?)?", cells[4]):
                kept.append(line)
                # Short values ("1", "en") are no secrets, and without them half of every message would be blotted out.
                self.known |= {cells[6]} if len(cells[6]) >= 8 else set()
            elif line.startswith("#HttpOnly_") or (line.strip() and not line.startswith("#")):
                bad.append(str(number))
        if not kept:
            raise UserError(
                f"download.cookies: {path} holds no cookies in Netscape's format (7 columns, tabs between them)"
            )
        if bad:
            print(f"download.cookies: {path}: no cookies in line {', '.join(bad)}", file=sys.stderr)
        return io.StringIO("\n".join(["# Netscape HTTP Cookie File", *kept, ""]))

    def _variable(self, match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise UserError(f"download: the environment has no variable {match[1]}, which the settings name")
        self.known.add(value)
        return value
