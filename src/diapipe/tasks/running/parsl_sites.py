"""Sites of bps with Parsl that ctrl_bps_parsl has not: an HTCondor pool, and a machine that speaks to itself alone."""

from __future__ import annotations

from typing import Any

from lsst.ctrl.bps.parsl.configuration import get_bps_config_value
from lsst.ctrl.bps.parsl.site import SiteConfig
from parsl.executors import HighThroughputExecutor
from parsl.executors.base import ParslExecutor
from parsl.providers import CondorProvider, LocalProvider


class OneMachine(SiteConfig):  # type: ignore[misc]  # the package is not typed
    """As many jobs at once on this machine as the site's key ``cores`` says; its workers need no network."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["resource_list"] = ["priority"]
        super().__init__(*arguments, **options)

    def get_executors(self) -> list[ParslExecutor]:
        """The one executor."""
        cores = get_bps_config_value(self.site, "cores", int, required=True)
        return [
            HighThroughputExecutor(
                "one_machine", provider=LocalProvider(), max_workers_per_node=cores, address="127.0.0.1"
            )
        ]

    def select_executor(self, job: Any) -> str:
        """Its name, whatever the job."""
        return "one_machine"


class Condor(SiteConfig):  # type: ignore[misc]  # the package is not typed
    """Pilots in the slots of a pool, each of which works off several jobs at once.

    Keys of the site: ``slots``, ``cores_per_slot``, ``mem_per_slot`` (whole GB), ``walltime``, ``requirements`` and
    ``scheduler_options`` as HTCondor's submit description has them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["resource_list"] = ["priority"]
        super().__init__(*arguments, **options)

    def get_executors(self) -> list[ParslExecutor]:
        """The one executor."""
        cores = get_bps_config_value(self.site, "cores_per_slot", int, 1)
        provider = CondorProvider(
            cores_per_slot=cores,
            mem_per_slot=get_bps_config_value(self.site, "mem_per_slot", int),
            init_blocks=0,
            max_blocks=get_bps_config_value(self.site, "slots", int, 1),
            walltime=get_bps_config_value(self.site, "walltime", str, "04:00:00"),
            requirements=get_bps_config_value(self.site, "requirements", str, ""),
            scheduler_options=get_bps_config_value(self.site, "scheduler_options", str, ""),
            worker_init=self.get_command_prefix(),
        )
        return [
            HighThroughputExecutor(
                "htcondor", provider=provider, max_workers_per_node=cores, address=self.get_address()
            )
        ]

    def select_executor(self, job: Any) -> str:
        """Its name, whatever the job."""
        return "htcondor"
