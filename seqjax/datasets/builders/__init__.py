"""TFDS builders of the data sets that TFDS does not serve without TensorFlow.

Importing this module registers them:
`tfds.builder("gum", data_dir=..., file_format="array_record")`. The stock names
(`tiny_shakespeare`, `mnist`, `fashion_mnist`) stay registered to TFDS' own classes; take ours with
`builder_of`.
"""

import os
from typing import Any

import tensorflow_datasets as tfds

from seqjax.datasets.builders.media import Captions, FashionMnist, Fsdd, Mnist
from seqjax.datasets.builders.series import Ett, M4Hourly
from seqjax.datasets.builders.tagged import Gum, Wnut17
from seqjax.datasets.builders.text import Multi30k, Sst2, TinyShakespeare

BUILDERS: dict[str, Any] = {
    builder.name: builder
    for builder in (
        Captions,
        Ett,
        FashionMnist,
        Fsdd,
        Gum,
        M4Hourly,
        Mnist,
        Multi30k,
        Sst2,
        TinyShakespeare,
        Wnut17,
    )
}
"""Name to builder class, without configs."""


def builder_of(name: str, data_dir: str | os.PathLike | None = None) -> tfds.core.DatasetBuilder:
    """The builder of a data set, writing array_record.

    Args:
      name: such as "gum" or "captions/stamps".
      data_dir: where TFDS keeps prepared data sets; None takes TFDS' own default.

    Raises:
      ValueError: there is no builder of that name.

    Example, from files at hand:
      builder = builder_of("gum", "prepared")
      builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="files/gum"))
    """
    name, _, config = name.partition("/")
    if name not in BUILDERS:
        raise ValueError(f"no builder {name!r}; choose one of {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name](data_dir=data_dir, config=config or None, file_format="array_record")
