"""A transformer's encoder, cut where the accelerator ends.

Its position-wise matrices are modules of their own, the *blocks*; all else is the host's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SPREAD = 0.03
"""Of an embedding before training: training soon outweighs it, also for words that are rare."""


@dataclass(frozen=True)
class Size:
    """longest: the positions that have an embedding; hidden: of the feed-forward pair.

    word_dropout: the share of the embedded words that training leaves out.
    """

    longest: int
    width: int
    heads: int
    hidden: int
    layers: int
    dropout: float
    word_dropout: float

    def __str__(self) -> str:
        layers = "a layer" if self.layers == 1 else f"{self.layers} layers"
        return f"{layers} of {self.width}, {self.heads} heads, feed-forward {self.hidden}"


class QueryKeyValue(nn.Module):
    """A block: x -> (query, key, value), for all heads side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # the softmax cancels it
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., 3 * width)."""
        return torch.cat((self.query(x), self.key(x), self.value(x)), -1)


class FeedForward(nn.Module):
    """A block: the pair of matrices with ReLU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.down(torch.relu(self.up(x)))


class Layer(nn.Module):
    """One layer, normalized before each of its halves; ``blocks`` is what is compiled of it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.blocks = nn.ModuleDict({
            "qkv": QueryKeyValue(size.width),
            "output": nn.Linear(size.width, size.width),
            "feed": FeedForward(size.width, size.hidden),
        })  # fmt: skip
        self.before_attention = nn.LayerNorm(size.width)
        self.before_feed = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: Tensor, is_word: Tensor) -> Tensor:
        """x: (sentences, positions, width); is_word: (sentences, positions), False for padding."""
        query, key, value = self.blocks["qkv"](self.before_attention(x)).chunk(3, -1)
        mixed = attention(query, key, value, is_word, self.heads)
        x = x + self.dropout(self.blocks["output"](mixed))
        return x + self.dropout(self.blocks["feed"](self.before_feed(x)))


def attention(query: Tensor, key: Tensor, value: Tensor, is_word: Tensor, heads: int) -> Tensor:
    """Scores, softmax and the weighted mean of the values: (sentences, positions, width)."""
    query, key, value = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value)
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~is_word[:, None, None, :], -math.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(-2)


class Encoder(nn.Module):
    """Words and their positions, layers, and the logit of "positive" from the mean position."""

    def __init__(self, words: int, size: Size) -> None:
        super().__init__()
        self.word_dropout = size.word_dropout
        self.words = nn.Embedding(words, size.width)
        self.positions = nn.Embedding(size.longest, size.width)
        for table in (self.words, self.positions):
            nn.init.normal_(table.weight, std=SPREAD)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)
        self.head = nn.Linear(size.width, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """(sentences, positions) tokens -> (sentences, 1) logits."""
        positions = torch.arange(tokens.shape[1]).clamp(max=self.positions.num_embeddings - 1)
        is_word = torch.arange(tokens.shape[1]) < lengths[:, None]
        x = self.words(tokens)
        if self.training:
            x = x * (torch.rand(tokens.shape) >= self.word_dropout)[..., None]
        x = self.dropout(x + self.positions(positions))
        for layer in self.layers:
            x = layer(x, is_word)
        mean = (self.norm(x) * is_word[..., None]).sum(1) / lengths[:, None]
        return self.head(self.dropout(mean))

    def blocks(self) -> dict[str, nn.Module]:
        """All blocks, in the order in which a position passes through them: ``l0.qkv``, ..."""
        return {
            f"l{number}.{name}": block
            for number, layer in enumerate(self.layers)
            for name, block in layer.blocks.items()
        }

    def with_blocks(self, blocks: Mapping[str, nn.Module]) -> Encoder:
        """A copy that calls these in place of its own; the host's part is the same."""
        changed = copy.deepcopy(self)
        for name, block in blocks.items():
            layer, own = name.split(".")
            changed.layers[int(layer[1:])].blocks[own] = block
        return changed
