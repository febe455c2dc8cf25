"""The models as an application of Ray Serve, which servers find or put there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import ray
from ray import serve
from ray.exceptions import ActorAlreadyExistsError
from ray.serve._private.common import ReplicaState
from ray.serve.schema import ApplicationStatus, LoggingConfig

from emostream.streamer.config import Settings
from emostream.streamer.errors import ClusterError

from .replica import Replica

DEPLOYMENT: Final = "models"
# Far more than wait in practice: it is the engine's batchers that choose, and they choose best from all.
_ONGOING: Final = 1_000
# Models that cannot be loaded once, can they twice?
_LOADS: Final = 2
_HEALTH_EVERY_S: Final = 2.0
_HEALTH_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.5


def find_or_deploy(settings: Settings) -> Any:
    """A `serve.handle.DeploymentHandle`, once a replica runs. Raises ClusterError."""
    app = settings.cluster.app
    with _alone(app):
        status = _settled(app)
        if status in (None, ApplicationStatus.NOT_STARTED, ApplicationStatus.DEPLOY_FAILED):
            _deploy(settings)
            status = _settled(app)
    # UNHEALTHY: a replica is lost, and another one on its way; those that are there answer.
    if status not in (ApplicationStatus.RUNNING, ApplicationStatus.UNHEALTHY):
        said = "nothing" if status is None else status.value.lower().replace("_", " ")
        raise ClusterError(
            f"expected the models in the cluster to be running, got: {said}; see Ray's logs there"
        )
    return serve.get_app_handle(app)


def _settled(app: str) -> ApplicationStatus | None:
    while (status := _status(app)) in (ApplicationStatus.DEPLOYING, ApplicationStatus.DELETING):
        time.sleep(_LOOK_EVERY_S)
    return status


@contextmanager
def _alone(app: str) -> Iterator[None]:
    """One server of a cluster at a time: of two that deploy at once one fails. What is held is the name of an
    actor, which ends with its maker.
    """
    holder: Any = ray.remote(num_cpus=0)(_Holder).options(
        name=f"{app} is being deployed", namespace="emostream"
    )
    while True:
        try:
            held = holder.remote()
            break
        except ActorAlreadyExistsError:
            time.sleep(_LOOK_EVERY_S)
    try:
        yield
    finally:
        ray.kill(held)


class _Holder:
    """Of a name, and of nothing else."""


def _deploy(settings: Settings) -> None:
    """Models that cannot be loaded are taken away again."""
    app = settings.cluster.app
    serve.start(proxy_location="Disabled")  # nobody asks over HTTP: no port is opened
    try:
        serve.run(_application(settings), name=app, route_prefix=None)
    except RuntimeError as error:
        found = serve.status().applications[app].deployments.get(DEPLOYMENT)
        said = None if found is None else _own_error(found.message)
        serve.delete(app, _blocking=False)
        said = said or f"expected the cluster to start the models, got: {_last_line(error)}; see Ray's logs"
        raise ClusterError(said) from error


def running_replicas(app: str) -> int:
    found = serve.status().applications.get(app)
    deployment = None if found is None else found.deployments.get(DEPLOYMENT)
    return 0 if deployment is None else deployment.replica_states.get(ReplicaState.RUNNING, 0)


def _status(app: str) -> ApplicationStatus | None:
    found = serve.status().applications.get(app)
    return None if found is None else found.status


def _application(settings: Settings) -> Any:
    chosen = settings.cluster
    deployment = serve.deployment(
        name=DEPLOYMENT,
        max_ongoing_requests=_ONGOING,
        max_constructor_retry_count=_LOADS,
        autoscaling_config={
            "min_replicas": chosen.min_replicas,
            "max_replicas": chosen.max_replicas,
            "target_ongoing_requests": chosen.target_ongoing_requests,
            # Somebody waits while there are too few; models take long to load again.
            "metrics_interval_s": 2.0,
            "look_back_period_s": 10.0,
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 300.0,
        },
        ray_actor_options={"num_cpus": chosen.cpus, "num_gpus": chosen.gpus},
        health_check_period_s=_HEALTH_EVERY_S,
        health_check_timeout_s=_HEALTH_WITHIN_S,
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    return deployment(Replica).bind(settings)


def _own_error(trace: str) -> str | None:
    """What the models' loading says for people, out of all that Ray says around it."""
    found = re.findall(r"^\s*emostream\.models\.errors\.\w+: (.+)$", trace, re.MULTILINE)
    return found[-1] if found else None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
