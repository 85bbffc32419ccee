"""Running a survey: the graph of what is to be done, a pool of workers that does it, and what the repository holds."""

from __future__ import annotations

from diapipe.tasks.running.outcome import Ended, Outcome, RunSummary, Watcher
from diapipe.tasks.running.run_request import RunRequest
from diapipe.tasks.running.selection import DataSelection
from diapipe.tasks.running.settings import Settings
from diapipe.tasks.running.status import RepositoryStatus, status_of
from diapipe.tasks.running.survey_run import run_survey
from diapipe.tasks.running.template_choice import TemplateChoice

__all__ = [
    "DataSelection",
    "Ended",
    "Outcome",
    "RepositoryStatus",
    "RunRequest",
    "RunSummary",
    "Settings",
    "TemplateChoice",
    "Watcher",
    "run_survey",
    "status_of",
]
