"""Random features, the control for every strategy that has features written."""

from __future__ import annotations

import string

import numpy as np

from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import WaffleOptions
from pcclip_strategies.prompts import embed_groups, filled

# Everyday words that say nothing in particular about how any thing looks.
WORDS = tuple(
    """answer autumn balance basket bottle bridge butter candle carpet castle circle coffee copper corner cotton
    cradle debate dinner dragon engine errand fabric famous fellow finger forest friend garden gentle ginger hammer
    harbour helmet hollow honest hunger island jacket jumble kettle ladder lantern lesson linen luck magnet market
    meadow melody middle mirror moment monday muffin needle nickel novel number ocean onion orbit orchard paper
    parcel parade pepper picnic pillow pocket poetry polite puzzle quarter quiet ribbon rocket rumour saddle salad
    sample second secret shadow signal simple sister spoon spring staple story street sudden summer supper table
    tempo tender thunder ticket timber tomato travel tunnel umbrella useful valley velvet violin voyage wagon
    wander weather whisper window winter wonder yellow yesterday zigzag""".split()
)


class Waffle(Strategy):
    """The mean of cosines with random features, the same for every class (Roth et al. 2023, arXiv:2306.07282).

    As :class:`~pcclip_strategies.descriptions.Descriptions`, but half of the features are two random words and half
    two rows of random letters: ``s_c(f) = mean over features r of <f, g("{c}, which has {r}")>``. What written features
    gain over this is what they say, and not that there are many. An evaluation takes the mean over 7 seeds.
    """

    draws = 7

    def __init__(self, options: WaffleOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        features = random_features(self.options.pairs, self.options.seed)
        groups = [[filled(self.options.template, name, text) for text in features] for name in knowledge.names]
        means = np.stack([rows.mean(axis=0) for rows in embed_groups(embedder, groups)])
        return LinearClassifier(knowledge.names, means)


def random_features(pairs: int, seed: int) -> list[str]:
    """Return ``pairs`` features of two words each and as many of two rows of 4 to 8 letters."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(pairs):
        found.append(" ".join(WORDS[i] for i in rng.choice(len(WORDS), 2, replace=False)))
        rows = [rng.choice(list(string.ascii_lowercase), rng.integers(4, 9)) for _ in range(2)]
        found.append(" ".join("".join(row) for row in rows))
    return found
