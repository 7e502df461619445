"""Work with pictures: captioned folders, drawn scenes, images read row by row."""

from seqjax.vision.captioned import Pictures as Pictures
from seqjax.vision.captioned import read_pictures as read_pictures
from seqjax.vision.row_inputs import Rows as Rows
from seqjax.vision.rows import RowClassifier as RowClassifier
from seqjax.vision.rows import RowStream as RowStream
from seqjax.vision.scenes import Scenes as Scenes
