"""Makes `model_torch.safetensors` and `model_torch.npz`: a model with several recurrent modules, in float32.

Run it from anywhere, in an environment that has torch, safetensors and numpy:

    python tests/golden/make_torch_model.py [--out FOLDER]

The files beside this script were made by torch 2.13.0 (CPU). Every number drawn comes from a seeded
NumPy generator. `README.md` lists the keys.
"""

import argparse
import pathlib

import numpy as np
import safetensors.torch
import torch

BATCH, STEPS, INPUT_SIZE, UNITS = 3, 6, 3, 4


class Model(torch.nn.Module):
    """Modules side by side, each of which reads the same input."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Linear(INPUT_SIZE, INPUT_SIZE)
        both = dict(num_layers=2, bidirectional=True, batch_first=True)
        self.encoder = torch.nn.LSTM(INPUT_SIZE, UNITS, **both)
        self.decoder = torch.nn.GRU(INPUT_SIZE, UNITS, batch_first=True, bias=False)
        self.relu = torch.nn.RNN(INPUT_SIZE, UNITS, batch_first=True, nonlinearity="relu")
        self.cell = torch.nn.GRUCell(INPUT_SIZE, UNITS)

    def run_cell(self, x):
        h, ys = torch.zeros(x.shape[0], UNITS), []
        for step in range(x.shape[1]):
            h = self.cell(x[:, step], h)
            ys.append(h)
        return torch.stack(ys, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the golden files of a model of PyTorch.")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    rng, model = np.random.default_rng(0), Model()
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = rng.normal(scale=0.6, size=tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(drawn))
        x = torch.from_numpy(rng.normal(size=(BATCH, STEPS, INPUT_SIZE)).astype(np.float32))
        values = {
            "x": x,
            "encoder": model.encoder(x)[0],
            "decoder": model.decoder(x)[0],
            "relu": model.relu(x)[0],
            "cell": model.run_cell(x),
        }
    safetensors.torch.save_file(model.state_dict(), out / "model_torch.safetensors")
    np.savez(out / "model_torch.npz", **{name: value.numpy() for name, value in values.items()})


if __name__ == "__main__":
    main()
