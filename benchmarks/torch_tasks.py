"""The networks and losses of `tasks.py` in PyTorch, written as one writes them there."""

from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from tasks import (
    BANDS,
    CAPTION_WORDS,
    CHARACTERS,
    CLASSES,
    DROPOUT,
    FEATURES,
    LAGS,
    LETTERS,
    SMOOTHING,
    STAGES,
    STRIDE,
    TAGS,
    TOKENS,
    WORDS,
    batch_of,
)
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]


def lstm(inputs: int, units: int, layers: int = 1, *, both_ways: bool = False, dropout: float = 0):
    return nn.LSTM(
        inputs, units, layers, batch_first=True, bidirectional=both_ways, dropout=dropout
    )


class Writer(nn.Module):
    """`char_lm`."""

    def __init__(self, dropout: float):
        super().__init__()
        self.embed, self.head = nn.Embedding(CHARACTERS, 128), nn.Linear(256, CHARACTERS)
        self.lstm = lstm(128, 256, 2, dropout=dropout)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0])


class Reader(nn.Module):
    """`mnist_rows`."""

    def __init__(self, dropout: float):
        super().__init__()
        self.lstm = lstm(28, 128, 2, both_ways=True, dropout=dropout)
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(256, CLASSES)

    def forward(self, rows):
        _, (h, _) = self.lstm(rows)
        return self.head(self.drop(torch.cat([h[-2], h[-1]], -1)))


class Tagger(nn.Module):
    """`tagging`: the scores of a linear chain."""

    def __init__(self, dropout: float):
        super().__init__()
        self.embed, self.drop = nn.Embedding(WORDS, 100), nn.Dropout(dropout)
        self.lstm, self.head = lstm(100, 128, both_ways=True), nn.Linear(256, TAGS)
        self.transitions = nn.Parameter(torch.zeros(TAGS, TAGS))
        self.start = nn.Parameter(torch.zeros(TAGS))
        self.end = nn.Parameter(torch.zeros(TAGS))

    def forward(self, words):
        ys, _ = self.lstm(self.drop(self.embed(words)))
        return self.head(self.drop(ys)), self.transitions, self.start, self.end


def crf_loss(scores, tags):
    """Minus the log-likelihood of the tags, by the forward algorithm."""
    emissions, transitions, start, end = scores
    emissions = emissions.float()
    alpha = start + emissions[:, 0]
    for step in emissions[:, 1:].unbind(1):
        alpha = torch.logsumexp(alpha[:, :, None] + transitions, 1) + step
    emitted = emissions.gather(-1, tags[..., None]).sum((1, 2))
    moved = transitions[tags[:, :-1], tags[:, 1:]].sum(1)
    path = start[tags[:, 0]] + emitted + moved + end[tags[:, -1]]
    return (torch.logsumexp(alpha + end, -1) - path).mean()


class Translator(nn.Module):
    """`translate`; a memory is keys and values, `[rows, positions, 256]`."""

    def __init__(self, dropout: float):
        super().__init__()
        self.embed, self.bias = nn.Embedding(TOKENS, 256), nn.Parameter(torch.zeros(TOKENS))
        self.encoder, self.decoder = lstm(256, 128, both_ways=True), lstm(256, 256)
        self.bridge = nn.Linear(4 * 128, 2 * 256)
        self.key = nn.Linear(256, 256, bias=False)
        self.combine = nn.Linear(2 * 256, 256, bias=False)
        self.drop = nn.Dropout(dropout)
        nn.init.normal_(self.embed.weight, std=1 / 16)

    def forward(self, source, _, tokens):
        memory, state = self.begin(source)
        ys, _ = self.decoder(self.drop(self.embed(tokens)), state)
        return self.scores(memory, ys)

    def begin(self, source):
        """Reads the source; returns the memory, and where the decoder begins."""
        values, (h, c) = self.encoder(self.drop(self.embed(source)))
        values = self.drop(values)
        summary = torch.cat([h[0], c[0], h[1], c[1]], -1)
        h, c = torch.tanh(self.bridge(summary))[None].chunk(2, -1)
        return (self.key(values), values), (h.contiguous(), c.contiguous())

    def scores(self, memory, ys):
        """Looks with each output `[rows, steps, 256]`, and scores every token."""
        keys, values = memory
        weights = torch.softmax(ys @ keys.transpose(1, 2), -1)
        readout = torch.tanh(self.combine(torch.cat([ys, weights @ values], -1)))
        return F.linear(self.drop(readout), self.embed.weight, self.bias)


class Hearer(nn.Module):
    """`speech`."""

    def __init__(self, dropout: float):
        super().__init__()
        sizes = (BANDS * STRIDE, 256)
        self.layers = nn.ModuleList(lstm(size, 128, both_ways=True) for size in sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(256) for _ in sizes)
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(256, LETTERS)

    def forward(self, frames):
        xs = frames.reshape(len(frames), -1, BANDS * STRIDE)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            xs = self.drop(norm(layer(xs)[0]))
        return self.head(xs)


def ctc_loss(logits, letters):
    rows, steps, _ = logits.shape
    log_probs = F.log_softmax(logits.float(), -1).transpose(0, 1)
    lengths, label_lengths = (torch.full((rows,), size) for size in (steps, letters.shape[1]))
    return F.ctc_loss(log_probs, letters, lengths, label_lengths, reduction="none").mean()


class DeepAR(nn.Module):
    """`deepar`."""

    def __init__(self, dropout: float):
        super().__init__()
        self.lstm, self.head = lstm(FEATURES, 40, 2, dropout=dropout), nn.Linear(40 + LAGS, 3)

    def forward(self, xs):
        return self.head(torch.cat([self.lstm(xs)[0], xs[..., :LAGS]], -1))


def student_t_loss(raw, values):
    location, width, degrees = raw.float().unbind(-1)
    width, degrees = F.softplus(width) + 1e-6, 2 + F.softplus(degrees) + 1e-6
    found = torch.distributions.StudentT(degrees, location, width, validate_args=False)
    return -found.log_prob(values).mean()


class Grid(nn.Module):
    """Features of a picture's cells: three stages that halve it, and a residual block."""

    def __init__(self):
        super().__init__()
        sizes, wide = (3, *STAGES), STAGES[-1]
        stages = [nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in zip(sizes, STAGES, strict=False)]
        block = [nn.Conv2d(wide, wide, 3, padding=1, bias=False) for _ in range(2)]
        self.convolutions = nn.ModuleList([*stages, *block])
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (*STAGES, wide, wide))

    def forward(self, images):
        x = 2 * images.permute(0, 3, 1, 2) - 1
        layers = [*zip(self.convolutions, self.norms, strict=True)]
        for layer in layers[:-2]:
            x = F.relu(self.normed(layer, x))
        found = F.relu(self.normed(layers[-2], x))
        return F.relu(x + self.normed(layers[-1], found)).permute(0, 2, 3, 1)

    def normed(self, layer, x):
        """Convolves, and normalises each place over its features."""
        convolve, norm = layer
        return norm(convolve(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Describer(nn.Module):
    """`caption`."""

    def __init__(self, dropout: float):
        super().__init__()
        cells = STAGES[-1]
        self.grid, self.place = Grid(), nn.Linear(cells + 2, cells)
        self.norm, self.bridge = nn.LayerNorm(cells), nn.Linear(cells, 2 * 128)
        self.key, self.query = nn.Linear(cells, cells), nn.Linear(128, cells, bias=False)
        self.v = nn.Parameter(torch.randn(cells) * cells**-0.5)
        self.embed, self.cell = nn.Embedding(CAPTION_WORDS, 64), nn.LSTMCell(64 + cells, 128)
        self.combine = nn.Linear(128 + cells + 64, 128, bias=False)
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(128, CAPTION_WORDS)
        centres = torch.linspace(-1, 1, 9)[1::2]
        self.places = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)

    def forward(self, images, _, words):
        cells = self.look(images)
        h, c = torch.tanh(self.bridge(self.norm(cells.amax(1)))).chunk(2, -1)
        keys, embedded, seen = self.key(cells), self.drop(self.embed(words)), []
        for x in embedded.unbind(1):
            weights = torch.softmax(torch.tanh(keys + self.query(h)[:, None]) @ self.v, -1)
            context = (weights[:, None] @ cells)[:, 0]
            h, c = self.cell(torch.cat([x, context], -1), (h, c))
            seen.append(torch.cat([h, context, x], -1))
        return self.head(self.drop(torch.tanh(self.combine(torch.stack(seen, 1)))))

    def look(self, images):
        """Returns the cells of each picture, `[rows, 16, features]`."""
        grid = self.grid(images)
        placed = torch.cat([grid, self.places.expand(*grid.shape[:-1], 2)], -1)
        return self.drop(F.relu(self.place(placed)).flatten(1, 2))


def token_loss(logits, targets):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def smoothed_loss(logits, targets):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=SMOOTHING)


NETWORKS: dict[str, tuple[Callable, Callable]] = {
    "char_lm": (Writer, token_loss),
    "mnist_rows": (Reader, token_loss),
    "tagging": (Tagger, crf_loss),
    "translate": (Translator, smoothed_loss),
    "speech": (Hearer, ctc_loss),
    "deepar": (DeepAR, student_t_loss),
    "caption": (Describer, smoothed_loss),
}


def network_of(task: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[task][0](DROPOUT[task])


def loss_of(task: str) -> Callable:
    return NETWORKS[task][1]


def tensors_of(task: str) -> tuple[list[Any], Any]:
    """Returns the inputs and the targets of a batch."""
    inputs, targets = batch_of(task)
    inputs = [each if each is None else torch.from_numpy(each) for each in inputs]
    return inputs, torch.from_numpy(targets)


def products_in(precision: str) -> Any:
    """Rounds what is multiplied, the usual way."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
