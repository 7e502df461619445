"""Forecasts of time series: one interface, several ways, and how good they were."""

from seqjax.models.forecaster import metrics as metrics
from seqjax.models.forecaster.backtest import Backtest as Backtest
from seqjax.models.forecaster.backtest import backtest as backtest
from seqjax.models.forecaster.baselines import Linear as Linear
from seqjax.models.forecaster.baselines import SeasonalNaive as SeasonalNaive
from seqjax.models.forecaster.conformal import Conformal as Conformal
from seqjax.models.forecaster.conformal import conformal as conformal
from seqjax.models.forecaster.deepar import DeepAR as DeepAR
from seqjax.models.forecaster.deepar import sample_paths as sample_paths
from seqjax.models.forecaster.direct import Direct as Direct
from seqjax.models.forecaster.encoder_decoder import EncoderDecoder as EncoderDecoder
from seqjax.models.forecaster.forecast import LEVELS as LEVELS
from seqjax.models.forecaster.forecast import Forecast as Forecast
from seqjax.models.forecaster.interface import Fitted as Fitted
from seqjax.models.forecaster.interface import Forecaster as Forecaster
from seqjax.models.forecaster.interface import Recipe as Recipe
from seqjax.models.forecaster.lines import to_csv as to_csv
from seqjax.models.forecaster.network import Form as Form
from seqjax.models.forecaster.network import NetworkForecaster as NetworkForecaster
from seqjax.models.forecaster.network import Trained as Trained
from seqjax.models.forecaster.scores import by_step as by_step
from seqjax.models.forecaster.scores import calibration as calibration
from seqjax.models.forecaster.scores import score as score
from seqjax.models.forecaster.scores import table as table
from seqjax.models.forecaster.scores import truth as truth
