"""Forecast time series: panels, calendars, forecasters, baselines, metrics, intervals, backtests, plots."""

from seqjax.forecasting.auto import auto as auto
from seqjax.forecasting.auto import tried_table as tried_table
from seqjax.forecasting.backtest import Backtest as Backtest
from seqjax.forecasting.backtest import backtest as backtest
from seqjax.forecasting.baselines import Linear as Linear
from seqjax.forecasting.baselines import SeasonalNaive as SeasonalNaive
from seqjax.forecasting.baselines import baselines as baselines
from seqjax.forecasting.blend import Blend as Blend
from seqjax.forecasting.calendar import calendar_features as calendar_features
from seqjax.forecasting.calendar import lags as lags
from seqjax.forecasting.calendar import seasons as seasons
from seqjax.forecasting.candidates import Candidate as Candidate
from seqjax.forecasting.candidates import candidates as candidates
from seqjax.forecasting.columns import Columns as Columns
from seqjax.forecasting.conformal import Conformal as Conformal
from seqjax.forecasting.conformal import calibrated as calibrated
from seqjax.forecasting.conformal import conformal as conformal
from seqjax.forecasting.deepar import DeepAR as DeepAR
from seqjax.forecasting.deepar import sample_paths as sample_paths
from seqjax.forecasting.direct import Direct as Direct
from seqjax.forecasting.encoder_decoder import EncoderDecoder as EncoderDecoder
from seqjax.forecasting.explain import Explanation as Explanation
from seqjax.forecasting.explain import explain as explain
from seqjax.forecasting.forecast import LEVELS as LEVELS
from seqjax.forecasting.forecast import LIKELIHOODS as LIKELIHOODS
from seqjax.forecasting.forecast import SHARES as SHARES
from seqjax.forecasting.forecast import Forecast as Forecast
from seqjax.forecasting.form import Form as Form
from seqjax.forecasting.held_out import HeldOut as HeldOut
from seqjax.forecasting.interface import RECIPE as RECIPE
from seqjax.forecasting.interface import Forecaster as Forecaster
from seqjax.forecasting.lines import to_csv as to_csv
from seqjax.forecasting.network import NetworkForecaster as NetworkForecaster
from seqjax.forecasting.panel import Panel as Panel
from seqjax.forecasting.public import DATA_SETS as DATA_SETS
from seqjax.forecasting.public import PANELS as PANELS
from seqjax.forecasting.public import LoadedPanel as LoadedPanel
from seqjax.forecasting.public import load_panel as load_panel
from seqjax.forecasting.scores import by_step as by_step
from seqjax.forecasting.scores import calibration as calibration
from seqjax.forecasting.scores import pooled as pooled
from seqjax.forecasting.scores import score as score
from seqjax.forecasting.scores import table as table
from seqjax.forecasting.scores import truth as truth
from seqjax.forecasting.segrnn import SegRNN as SegRNN
from seqjax.forecasting.series_options import SeriesOptions as SeriesOptions
from seqjax.forecasting.series_options import TableOptions as TableOptions
from seqjax.forecasting.split import Split as Split
from seqjax.forecasting.tables import read_panel as read_panel
from seqjax.forecasting.times import parse_time as parse_time
from seqjax.forecasting.windows import SCALINGS as SCALINGS
from seqjax.forecasting.windows import PanelWindows as PanelWindows
from seqjax.forecasting.windows import scales as scales

NETWORKS = {network.name: network for network in (DeepAR, Direct, EncoderDecoder, SegRNN)}
"""The forecasters that are networks, by name."""
