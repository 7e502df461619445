"""The gradient laboratory: where a gradient goes on its way back through time, and what the gates did about it.

Every function named here takes a `Recurrence`, its params and inputs, and is pure. States are named
by their place, such as `layer_0/c` or `layer_1/forward/h`; the state of a cell that is one array is
its `h`. Pictures are in `seqjax.diagnostics.plots`, those of one task in the modules beside it.

Laboratories, each a module: `vanishing` (how fast a gradient vanishes), `cliff` (where it
explodes), `clipping` (what cures it), `memory` (how far back a network remembers), `cost` and
`writers` (what a model costs in time and memory).
"""

from seqjax.diagnostics.faults import Fault as Fault
from seqjax.diagnostics.faults import which_step as which_step
from seqjax.diagnostics.flow import gradient_flow as gradient_flow
from seqjax.diagnostics.flow import hidden_traces as hidden_traces
from seqjax.diagnostics.flow import state_gradients as state_gradients
from seqjax.diagnostics.gates import GateStatistics as GateStatistics
from seqjax.diagnostics.gates import gate_activations as gate_activations
from seqjax.diagnostics.gates import gate_statistics as gate_statistics
from seqjax.diagnostics.spectrum import Spectrum as Spectrum
from seqjax.diagnostics.spectrum import jacobian_spectrum as jacobian_spectrum
from seqjax.diagnostics.spectrum import spectral_radius as spectral_radius
from seqjax.diagnostics.spectrum import with_spectral_radius as with_spectral_radius
