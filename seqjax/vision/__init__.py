"""Work with pictures: captioned folders, drawn scenes, images read row by row."""

from seqjax.vision.augment import vary_images as vary_images
from seqjax.vision.captioned import Pictures as Pictures
from seqjax.vision.captioned import load_pictures as load_pictures
from seqjax.vision.captioned import read_pictures as read_pictures
from seqjax.vision.captioner import Captioner as Captioner
from seqjax.vision.descriptions import Description as Description
from seqjax.vision.descriptions import caption_scores as caption_scores
from seqjax.vision.descriptions import draw_descriptions as draw_descriptions
from seqjax.vision.descriptions import nearest_captions as nearest_captions
from seqjax.vision.row_inputs import Rows as Rows
from seqjax.vision.rows import RowClassifier as RowClassifier
from seqjax.vision.rows import RowStream as RowStream
from seqjax.vision.scenes import Scenes as Scenes
