"""Make figures and pages: the one place that draws with matplotlib or writes HTML."""

from seqjax.figures.attention import plot_attention as plot_attention
from seqjax.figures.attention import plot_captions as plot_captions
from seqjax.figures.attention import plot_looks as plot_looks
from seqjax.figures.figure import add_legends as add_legends
from seqjax.figures.figure import add_title as add_title
from seqjax.figures.figure import marker_of as marker_of
from seqjax.figures.figure import new_figure as new_figure
from seqjax.figures.figure import save_figure as save_figure
from seqjax.figures.figure import use_log_scale as use_log_scale
from seqjax.figures.figure import use_whole_ticks as use_whole_ticks
from seqjax.figures.history import plot_confusion as plot_confusion
from seqjax.figures.history import plot_history as plot_history
from seqjax.figures.page import Section as Section
from seqjax.figures.page import write_html as write_html
from seqjax.figures.table import markdown_table as markdown_table
from seqjax.figures.table import plain_table as plain_table
