"""Evidence against a claim: what money became that was bet against it, in a game that is fair if the claim is true.

While a claim holds, no way of betting against it turns 1 into 1/alpha, ever, with a probability above alpha (Ville's
inequality), so one may look after every observation and stop when one likes. The bets are those of Waudby-Smith and
Ramdas on means of bounded values, spread over fixed stakes as Cover does; docs/adr/0055 has the references.
"""

# Shares of the wealth that may be lost at once. A bold bet sees a large effect soon, a timid one a small effect ever;
# to hold all of them costs at most a factor of their number.
_BOLDNESS = tuple(0.9 / 2**halvings for halvings in range(8))


class Evidence:
    """Bets against the claim that a value, never below `-worst`, is at most 0 on average given all before it."""

    __slots__ = ("_stakes", "_wealth", "value")

    def __init__(self, *, worst: float) -> None:
        self._stakes = [boldness / worst for boldness in _BOLDNESS]
        self._wealth = [1 / len(_BOLDNESS)] * len(_BOLDNESS)
        self.value = 1.0

    def bet(self, gain: float) -> None:
        """Take in one value; stakes are fixed beforehand, so nothing here can learn from what it judges."""
        self._wealth = [wealth * (1 + stake * gain) for wealth, stake in zip(self._wealth, self._stakes, strict=True)]
        self.value = sum(self._wealth)
