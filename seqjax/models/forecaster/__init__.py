"""Forecasts of time series: one interface, several ways, and how good they were."""

from seqjax.models.forecaster import metrics as metrics
