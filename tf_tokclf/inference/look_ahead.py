"""Group a stream of sentences into blocks that are labelled together, with the neighbouring sentences as context."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from tf_tokclf.labels.sentence import Sentence

# Sentences are sorted by length within a block of this many words, which limits the memory.
LOOK_AHEAD_WORDS = 16_384


def block_starts(sentences: Iterable[Sentence], n_words: int) -> list[int]:
    """The number of the first sentence of each block of about `n_words` words, and the number of sentences.

    >>> block_starts([Sentence(("a", "b")), Sentence(()), Sentence(("c",)), Sentence(("d",))], 3)
    [0, 2, 4]
    """
    starts = [0]
    size = number = 0
    for number, sentence in enumerate(sentences, 1):
        size += _size(sentence)
        if size >= n_words:
            starts.append(number)
            size = 0
    return starts if starts[-1] == number else [*starts, number]


def _size(sentence: Sentence) -> int:
    """The size of a sentence in a block: at least 1, so that blocks of empty sentences end too."""
    return max(len(sentence), 1)


def look_ahead(
    sentences: Iterable[Sentence], margin: int, n_words: int, n_before: int = 0
) -> Iterator[tuple[list[Sentence], int, int]]:
    """Blocks of sentences with about `n_words` words, and up to `margin` additional sentences on each side.

    Yields the sentences, and the half-open range of those to label.
    """
    source = iter(sentences)
    before = [sentence for _, sentence in zip(range(n_before), source)]
    waiting: deque[Sentence] = deque()
    while True:
        block: list[Sentence] = []
        size = 0
        while size < n_words:
            sentence = waiting.popleft() if waiting else next(source, None)
            if sentence is None:
                break
            block.append(sentence)
            size += _size(sentence)
        if not block:
            return
        waiting.extend(sentence for _, sentence in zip(range(margin - len(waiting)), source))
        yield [*before, *block, *waiting], len(before), len(before) + len(block)
        before = [*before, *block][-margin:] if margin else []
