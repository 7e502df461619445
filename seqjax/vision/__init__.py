"""Work with pictures: captioned folders, drawn scenes."""

from seqjax.vision.captioned import Pictures as Pictures
from seqjax.vision.captioned import read_pictures as read_pictures
from seqjax.vision.scenes import Scenes as Scenes
