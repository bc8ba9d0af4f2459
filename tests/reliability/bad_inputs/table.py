"""All bad inputs."""

from __future__ import annotations

from tests.reliability.bad_inputs.cells import Bad, Cell, Impossible
from tests.reliability.bad_inputs.configuration_files import configurations
from tests.reliability.bad_inputs.decisions import decisions
from tests.reliability.bad_inputs.export_outputs import exports
from tests.reliability.bad_inputs.labelled_data import readers
from tests.reliability.bad_inputs.model_folders import models
from tests.reliability.bad_inputs.option_values import options
from tests.reliability.bad_inputs.prediction_files import predictions
from tests.reliability.bad_inputs.run_folders import checkpoints, finished_runs
from tests.reliability.bad_inputs.server_options import servers
from tests.reliability.bad_inputs.sweep_folders import sweeps

CELLS: tuple[Cell, ...] = (
    *readers(),
    *predictions(),
    *configurations(),
    *models(),
    *checkpoints(),
    *finished_runs(),
    *options(),
    *sweeps(),
    *exports(),
    *servers(),
    *decisions(),
)


BAD = tuple(cell for cell in CELLS if isinstance(cell, Bad))


IMPOSSIBLE = tuple(cell for cell in CELLS if isinstance(cell, Impossible))
