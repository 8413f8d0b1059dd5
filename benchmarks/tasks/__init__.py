"""What is explained: datasets with a trained model, one task a file.

A task file declares ``TASK``, a :class:`Definition`: a few words, how the model is trained, and a
function that builds the data. Its name is the file's, with hyphens: ``ba_shapes.py`` is
``ba-shapes``; variants that it declares have a suffix: ``ba-shapes:published``. Files whose names
start with ``_`` are not tasks. An installed package adds tasks of its own with entry points of the
group ``gnn_explainer_bench.tasks`` that name such a definition.
"""

from benchmarks.tasks._definition import Dataset, Definition, Recipe, Task
from benchmarks.tasks._discovery import available, definition
from benchmarks.tasks._load import MODELS, brings_model, is_hetero, load, resolve
from benchmarks.tasks._source import Unavailable, whereabouts
from benchmarks.tasks._training import accuracy, fine_tuned, without_edges
from benchmarks.tasks._user_task import is_own

__all__ = [
    "MODELS",
    "Dataset",
    "Definition",
    "Recipe",
    "Task",
    "Unavailable",
    "accuracy",
    "available",
    "brings_model",
    "definition",
    "fine_tuned",
    "is_hetero",
    "is_own",
    "load",
    "resolve",
    "whereabouts",
    "without_edges",
]
