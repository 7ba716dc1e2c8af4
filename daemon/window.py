"""How many parts a link may have unanswered now: fewer than agreed while its own queue slows it.

Little's law: parts in flight = rate x latency.  A gateway that is given more than it works off
answers no faster: what is in flight beyond its capacity x its own latency only waits there, where
nothing urgent can overtake it and no other node can take it, and after `answer_within` it is in
doubt.  So the window shrinks while answers are clearly slower than usual, to what still keeps the
gateway busy, and grows back.

*Slow* is a round of answers whose median is over what is tolerable: three times the usual latency,
but no more than half of `answer_within` (the other half is for the way to here, and for the report,
within the seconds that a code is worth something), and at least a tenth of a second and a quarter
over the usual, less is not worth slowing down for.  *Usual* is what the quickest quarter takes: it
follows quick rounds at once, so that a slow start is forgotten, and slow ones only while it is not
our window that fills the gateway.

A latency does not say whose fault it is, so each cut is a trial.  Our own queue shrinks with the
window; a long way or other people's traffic does not.  When half the window left the answers as
slow as they were, it is given back whole, and this latency counts as usual for a minute, then for
two, up to ten.  A link that was never seen less than full cannot know better than that it is slow:
a full window is tried the same way, and as seldom.

Only latency is looked at here.  A gateway that says "slower" is left alone for a moment (`link`)
and written to at a lower pace (`pacing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

ROUND = 0.25
FEW, SOME, MANY = 8, 16, 32
"""A round is at least so many seconds and so many answers: more for a trial, unless in a hurry."""
TIMES = 3.0
SLACK = 0.1
MARGIN = 1.25
"""Tolerable is so many times the usual latency; at least so many seconds and times over it."""
RECOVERS_IN = 10.0
"""Seconds in which a window grows from nothing to whole, where answers are quick."""
EXCUSED, LONGEST_EXCUSE = 60.0, 600.0
"""Seconds for which a latency that no cut could help counts as usual."""
FALLS, RISES = 1 / 4, 1 / 16
"""How much of the way the usual latency goes towards a round that was quicker, or slower."""


class Window:
    """`most` is the agreed window; `answer_within` in seconds; times are the loop's clock.

    With `adapts` false it is always whole.  `share` is the pace in parts per second that the link
    has to be able to keep whatever happens.
    """

    __slots__ = (
        "_adapts",
        "_answer_within",
        "_control",
        "_curious",
        "_curious_at",
        "_due",
        "_excuse",
        "_excused",
        "_excused_until",
        "_grows_at",
        "_limit",
        "_needs",
        "_seen",
        "_since",
        "_slope",
        "_trial",
        "_usual",
        "latency",
        "links",
        "most",
        "pace",
        "peak",
        "share",
        "slow_until",
    )

    def __init__(self, most: int, answer_within: float, now: float, *, adapts: bool = True) -> None:
        self.most = most
        self.links, self.share = 1, 0.0
        self.peak = 0
        """The most that was in flight in this round; whoever writes notes it here."""
        self.latency = 0.0
        """Median of the last round, seconds."""
        self.pace = 0.0
        """Parts per second, of all links, that the gateway worked off in the last slow round."""
        self.slow_until = now
        """Until then a link that was cut before counts as still too slow."""
        self._answer_within = answer_within
        self._adapts = adapts
        self._usual: float | None = None
        self._excuse = EXCUSED
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._limit = float(self.most)
        self._grows_at, self._slope = now, 0.0
        self._trial: tuple[float, int, int] | None = None
        """Latency, parts in flight per link, and window, before the first of the cuts under way."""
        self._curious = False
        """Whether nothing was slow when it began."""
        self._control = False
        """Whether this round is the one that a trial is compared with."""
        self._excused, self._excused_until = 0.0, now
        self._curious_at = now + EXCUSED
        self._round(now)
        self._since = now
        """Answers to what was written before say nothing of the window as it is."""

    def change(self, now: float, *, adapts: bool) -> None:
        """Whether it adapts from now on; whole again when it does not."""
        if adapts != self._adapts:
            self._adapts = adapts
            self._begin(now)

    def fits(self, most: int, answer_within: float) -> bool:
        """Whether it was made for this agreement."""
        return (most, answer_within) == (self.most, self._answer_within)

    def limit(self, now: float) -> int:
        """Parts that may be unanswered now, 1 to `most`."""
        return self.most if self._limit >= self.most else int(self._grown(now))

    def _grown(self, now: float) -> float:
        if now <= self._grows_at:
            return self._limit
        return min(self._limit + self._slope * (now - self._grows_at), self.most)

    def serve(self, links: int, share: float, now: float) -> None:
        """So many links use it from now on, each of which has to be able to keep that pace."""
        if share > self.share and share * self.latency > self.limit(now):
            self._limit = min(share * self.latency, self.most)
            self._grows_at = max(self._grows_at, now)
        if links != self.links:
            # What is in flight is another sum: it compares with nothing that was measured.
            self._trial, self._control = None, False
            self._round(now)
        self.links, self.share = links, share

    def answered(self, wrote_at: float, now: float) -> bool:
        """A part was taken; True when a round ends that is slow although it was cut before."""
        if wrote_at < self._since or not self._adapts:
            return False
        seen = self._seen
        seen.append(now - wrote_at)
        if now < self._due or len(seen) < self._needs:
            return False
        return self._turn(now)

    def answered_all(self, wrote_at: Sequence[float], now: float) -> bool:
        """As `answered`, of parts that were taken in one read."""
        if not self._adapts:
            return False
        if now < self._due:
            since = self._since
            self._seen += [now - at for at in wrote_at if at >= since]
            return False
        slow = False
        for at in wrote_at:
            slow = self.answered(at, now) or slow
        return slow

    def _turn(self, now: float) -> bool:
        """The end of a round."""
        seen = sorted(self._seen)
        quick, median = seen[len(seen) // 4], seen[len(seen) // 2]
        width, peak = self.limit(now), self.peak
        self._round(now)
        self.latency = median
        full = 2 * peak >= width
        self._learn(quick, full=full, whole=width == self.most)
        tolerable = self._tolerable(now)
        hurry = median > self._answer_within / 2
        slow = median > tolerable and (full or (hurry and peak >= FEW))
        tried = self._trial is not None
        if tried and self._judged(quick, median, peak, now, slow=slow):
            return False
        curious = 8 * peak >= 7 * width and now >= self._curious_at and median > SLACK
        if not slow and (tried or not curious):
            self._control = False
            self._grow(now)
            return False
        needs = SOME if slow else MANY
        if not (tried or hurry or self._control):
            # While a queue grows, answers tell of a shorter one: what is written now will tell.
            self._control = True
            self._hold(needs, now)
            return False
        self._control = False
        aim = (self._usual_now(now) + tolerable) / 2 if slow else 0.0
        if not tried:
            self._curious = not slow
        cut = self._cut(peak, aim, FEW if hurry else needs, now)
        if slow and (tried or not cut):
            self.slow_until = now + 2 * (ROUND + FEW * median)
            self.pace = self.links * peak / median
            return True
        return False

    def _cut(self, peak: int, aim: float, needs: int, now: float) -> bool:
        """Aim at a latency, by a half at most; False when there is nothing left to cut."""
        share = min(0.9, max(0.5, aim / self.latency))
        width = self.limit(now)
        limit = max(self._lowest(peak), int(peak * share))
        cut = limit < width
        if cut:
            self._limit = float(limit)
            if self._trial is None:
                self._trial = self.latency, peak, width
        self._hold(needs, now)
        return cut

    def _judged(self, quick: float, median: float, peak: int, now: float, *, slow: bool) -> bool:
        """What the trial under way has shown; True when it was in vain."""
        assert self._trial is not None
        before, flying, width = self._trial
        share = peak / flying
        if median > before * (0.6 + 0.4 * share) and median < self._answer_within:
            if share > 0.5 and slow and int(peak * 0.9) > self._lowest(peak):
                return False  # cut deeper, to see better
            self._trial = None
            self._limit = max(width, self._grown(now))
            self._curious_at = now + self._excuse
            if not self._curious:
                self._excused, self._excused_until = median, self._curious_at
            self._excuse = min(2 * self._excuse, LONGEST_EXCUSE)
            return True
        if slow:
            return False
        self._trial = None
        self._excuse = EXCUSED
        if self._usual is not None and quick < 0.9 * self._usual:
            # What had never been seen less than full has just learnt something, and goes on.
            self._usual, self._curious_at = quick, now
        elif self._curious:
            self._curious_at = now + EXCUSED
        if median < before * share / 2:
            self._limit = float(width)  # faster than a shorter queue explains: it is over
        return False

    def _hold(self, needs: int, now: float) -> None:
        """Measure with the window as it is now, by what is written from now on, and let it grow no
        more until that is done, or nothing comes any more.
        """
        self._limit = self._grown(now)
        self._since, self._needs = now, needs
        # The slow ones among the answers come later than the quick ones: wait for them too.
        self._due = now + ROUND + self.latency
        self._grows_at = now + ROUND + self.latency * (2 + needs / self._limit)
        self._slope = self._steepness(self._limit, self.latency)

    def _grow(self, now: float) -> None:
        """As far as it has grown; from here on by what the latency is now."""
        if self._limit < self.most:
            self._limit = self._grown(now)
            self._grows_at = max(self._grows_at, now)
            self._slope = self._steepness(self._limit, self.latency)

    def _steepness(self, limit: float, latency: float) -> float:
        """Parts per second: to whole in ten seconds, but an eighth per round at most, or one."""
        lasts = max(ROUND, latency, latency * FEW / limit)
        return min(self.most / RECOVERS_IN, max(1.0, limit / 8) / lasts)

    def _learn(self, quick: float, *, full: bool, whole: bool) -> None:
        usual = self._usual
        if usual is None:
            self._usual = quick
        elif quick < usual:
            self._usual = usual + (quick - usual) * FALLS
        elif not full or (whole and quick < 1.5 * usual):
            self._usual = usual + (quick - usual) * RISES

    def _usual_now(self, now: float) -> float:
        usual = self._usual or 0.0
        return max(usual, self._excused) if now < self._excused_until else usual

    def _tolerable(self, now: float) -> float:
        usual = self._usual_now(now)
        most = min(TIMES * usual, self._answer_within / 2)
        return max(usual + SLACK, MARGIN * usual, most)

    def _lowest(self, peak: int) -> int:
        """What `share` needs at the latency that was measured; where even `peak` was not enough, a
        wide window is not what the gateway lacks.
        """
        needs = ceil(self.share * self.latency)
        enough = needs <= peak and self.latency <= self._answer_within / 2
        return max(1, needs) if enough else 1

    def _round(self, now: float) -> None:
        self._seen: list[float] = []
        self._due, self._needs = now + ROUND, FEW
        self.peak = 0
