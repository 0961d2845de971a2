"""The rules in the git history: as they stood at a commit, and since when an entry is as it is now."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..claims import rules
from ..claims.rules import KINDS, Rules
from .pages import page_record

# Where the rules are, and where they were before each section had its own: there, controls without a `notebook` were
# those of the rival explanations.
PLACES = ("kdlib/sections", "data/paper")
FILE = re.compile(rf"(?:kdlib/sections/(\w+)|data/paper)/({'|'.join(KINDS)})\.yml")
FILES = [f":(glob){place}/**/{kind}.yml" for place in PLACES for kind in KINDS]
SECTION_OF_OLD = "rival_explanations"
COMMIT = re.compile(r"[0-9a-f]{7,40}")
NO_GIT = 127  # see `paths.git`


@dataclass(frozen=True)
class Version:
    """All rules as a commit has them. `files`: sha256 of each of its files of rules."""

    commit: str
    date: str  # of the commit, as 2026-11-26
    rules: Rules
    files: frozenset[str]


class History:
    """The git history of a project, as far as rules go. Where there is none, or not all of it, nothing is known."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._at: dict[str, Version | None] = {}
        self._contents: dict[str, str] = {}

    def at(self, commit: str) -> Version | None:
        """The rules of a commit, by any unambiguous beginning of its name; None where the history does not hold it.

        Nor does it hold what `git describe` calls `...-dirty`: files that were not committed.
        """
        if commit not in self._at:
            self._at[commit] = self._read(commit) if self.known and COMMIT.fullmatch(commit) else None
        return self._at[commit]

    @property
    def known(self) -> bool:
        """True if there is a history, and it is whole."""
        return not self.unknown

    @cached_property
    def unknown(self) -> str:
        """Why nothing can be told of the history, in words; empty where it is there, and whole."""
        head = paths.git(self.root, "rev-parse", "--verify", "HEAD")
        if b"dubious ownership" in head.stderr:
            trust = f"git config --global --add safe.directory {self.root}"
            return f"the folder is another user's, whose git history git does not read (`{trust}`, if you trust it)"
        if head.returncode:
            return "there is no git history here" if head.returncode != NO_GIT else "git is not installed here"
        if self._git("rev-parse", "--is-shallow-repository").strip() == "true":
            return "the git history here is cut off, as of a shallow clone (`git fetch --unshallow` brings the rest)"
        kept = paths.git(self.root, "rev-list", "--objects", "--missing=print", "HEAD", "--", *PLACES, "book")
        if kept.returncode or any(line.startswith(b"?") for line in kept.stdout.splitlines()):
            cure = "`git fetch --refetch --no-filter` brings them"
            return f"the git history here lacks files, as of a partial clone ({cure})"
        return ""

    @cached_property
    def versions(self) -> list[Version]:
        """Every commit that changed a file of rules, newest first."""
        if not self.known:
            return []
        commits = self._git("log", "--topo-order", "--format=%H", "--", *FILES).split()
        return [version for commit in commits if (version := self.at(commit))]

    def commits(self, folder: str) -> list[tuple[str, str]]:
        """Name and day of every commit that changed something in a folder, newest first."""
        found = self._git("log", "--topo-order", "--format=%H %cs", "--", folder) if self.known else ""
        return [tuple(line.split()) for line in found.splitlines()]

    def records(self, commit: str, folder: str) -> list[dict[str, Any]]:
        """The records of the executed pages that a folder has at a commit."""
        names = self._git("ls-tree", "--name-only", commit, f"{folder}/").splitlines()
        texts = (self._git("cat-file", "blob", f"{commit}:{name}") for name in names if name.endswith(".ipynb"))
        pages = (page_record(nbformat.from_dict(json.loads(text))) for text in texts)
        return [record for record in pages if record]

    def commit_of_rules(self) -> str | None:
        """The commit whose rules are those of now; None where they were not committed, or there is no history."""
        now = rules.digests()
        return next((v.commit for v in self.versions if {s: rules.digest(v.rules, s) for s in now} == now), None)

    def with_digest(self, section: str, digest: str) -> Version | None:
        """The newest version in which a section's rules have this digest."""
        return next((v for v in self.versions if rules.digest(v.rules, section) == digest), None)

    def with_files(self, *digests: str) -> Version | None:
        """The newest version whose files of rules have these sha256."""
        return next((v for v in self.versions if v.files.issuperset(digests)), None)

    def _read(self, commit: str) -> Version | None:
        if not (date := self._git("show", "--no-patch", "--format=%cs", f"{commit}^{{commit}}").strip()):
            return None
        found: dict[str, list] = {kind: [] for kind in KINDS}
        digests = set()
        for path, blob in self._files(commit):
            section, kind = FILE.fullmatch(path).groups()
            text = self._content(blob)
            found[kind] += rules.parse(text, section or SECTION_OF_OLD)
            digests.add(hashlib.sha256(text.encode()).hexdigest())
        return Version(commit, date, found, frozenset(digests))

    def _files(self, commit: str) -> Iterator[tuple[str, str]]:
        """Path and content's name of each file of rules."""
        for line in self._git("ls-tree", "-r", commit, "--", *PLACES).splitlines():
            about, path = line.split("\t")
            if FILE.fullmatch(path):
                yield path, about.split()[2]

    def _content(self, blob: str) -> str:
        if blob not in self._contents:
            self._contents[blob] = self._git("cat-file", "blob", blob)
        return self._contents[blob]

    def _git(self, *arguments: str) -> str:
        """What git prints; nothing where it fails."""
        return paths.git(self.root, *arguments).stdout.decode()
