"""The hold-back of an answer: how long content waits before the caller sees it.

Until it is over a failure is invisible to the caller, so a cut or a slow start
right after the first tokens is mended by another target without a trace.
"""

from __future__ import annotations

import re

from services.core.policy.rules import CommitRule
from services.dataplane.translation import Progress

# A full stop ends a sentence only with white space behind it (3.14, e.g.), a new line only behind text.
_SENTENCE_END = re.compile(r"[.!?…]['\")\]»”’]*\s|[。！？।]|\S[^\S\n]*\n")


class HoldBack:
    """The hold-back of one attempt; nothing is held by a rule that sets nothing."""

    def __init__(self, rule: CommitRule) -> None:
        self.until = 0.0
        """When it is over by time (monotonic seconds); 0.0: no content yet, or not by time."""
        self._rule = rule
        self._tokens = 0
        self._text = ""
        self._reached = False

    def add(self, progress: Progress, now: float) -> None:
        """Note content that came at `now`."""
        rule = self._rule
        if not rule.holds:
            self._reached = True
            return
        if rule.ms and not self.until:
            self.until = now + rule.ms / 1000.0
        if not progress.tokens and not rule.ms:
            # Sound and pictures have neither tokens nor sentences that could be waited for.
            self._reached = True
        self._tokens += progress.tokens
        if rule.tokens and self._tokens >= rule.tokens:
            self._reached = True
        if rule.sentence:
            # A sentence may end at the border of two pieces: a little of the last one is kept.
            self._text = self._text[-8:] + progress.text
            self._reached = self._reached or _SENTENCE_END.search(self._text) is not None

    def over(self, now: float) -> bool:
        """Whether content may be shown now."""
        return self._reached or (bool(self.until) and now >= self.until)
