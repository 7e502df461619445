"""Makes `keras_*.keras` and `keras_*.npz`: what recurrent layers of Keras give, in float32.

Run it from anywhere, in an environment that has keras, a backend of it, h5py and numpy:

    KERAS_BACKEND=jax python tests/golden/make_keras.py [--out FOLDER]

The files beside this script were made by keras 3.15.1 on jax 0.10.2 (CPU). Every number drawn comes
from a NumPy generator seeded by the model's place in `MODELS`; biases are random, because a wrong
order of gates does not show with the zeros that Keras begins with. `README.md` lists the keys.
"""

import argparse
import pathlib

import keras
import numpy as np
from keras import layers

BATCH, STEPS, INPUT_SIZE, UNITS = 3, 6, 3, 4

OPTIONS = {"return_sequences": True}


def lstm_stack():
    """Two layers, the first in both directions, a layer without effect between them."""
    yield layers.Bidirectional(layers.LSTM(UNITS, **OPTIONS), name="both_ways")
    yield layers.Dropout(0.5)
    yield layers.LSTM(UNITS + 1, **OPTIONS, name="second")


def gru_stack():
    """Both forms of the reset gate, one of them in both directions, added."""
    yield layers.GRU(UNITS, **OPTIONS, reset_after=True)
    yield layers.Bidirectional(layers.GRU(UNITS, **OPTIONS, reset_after=False), merge_mode="sum")


def simple_stack():
    """Both activations, one of them in both directions, averaged."""
    yield layers.SimpleRNN(UNITS, **OPTIONS, activation="relu")
    yield layers.Bidirectional(layers.SimpleRNN(UNITS, **OPTIONS), merge_mode="ave")


def cells():
    """One layer of cells of two kinds, and one of two cells in both directions."""
    yield layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(UNITS)], **OPTIONS)
    pair = [layers.GRUCell(UNITS), layers.GRUCell(UNITS + 1)]
    yield layers.Bidirectional(layers.RNN(pair, **OPTIONS))


def bare():
    """No biases."""
    yield layers.LSTM(UNITS, **OPTIONS, use_bias=False)
    yield layers.GRU(UNITS, **OPTIONS, use_bias=False, reset_after=False)


def apart():
    """Two recurrent layers with a dense one between them, the second of which reads backwards."""
    yield layers.LSTM(UNITS, **OPTIONS, name="low")
    yield layers.Dense(INPUT_SIZE)
    yield layers.GRU(UNITS, **OPTIONS, name="high", go_backwards=True)


MODELS = {
    "lstm": lstm_stack,
    "gru": gru_stack,
    "simple": simple_stack,
    "cells": cells,
    "bare": bare,
    "apart": apart,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the golden files of Keras' layers.")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    for seed, (name, build) in enumerate(MODELS.items()):
        keras.utils.clear_session()
        rng = np.random.default_rng(seed)
        model = keras.Sequential([keras.Input((STEPS, INPUT_SIZE)), *build()])
        model.set_weights([rng.normal(scale=0.6, size=w.shape) for w in model.get_weights()])
        x = rng.normal(size=(BATCH, STEPS, INPUT_SIZE)).astype(np.float32)
        # The outputs of each recurrent layer, on the model's own input.
        values = {"x": x, "y": model.predict(x, verbose=0)}
        for index, layer in enumerate(model.layers):
            values[f"y_{index}"] = keras.Model(model.inputs, layer.output).predict(x, verbose=0)
        model.save(out / f"keras_{name}.keras")
        np.savez(out / f"keras_{name}.npz", **values)


if __name__ == "__main__":
    main()
