"""The models as a Ray Serve application, which servers find or deploy."""

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
# Far more than are pending in practice: the engine's batchers choose best from all pending requests.
_MAX_ONGOING: Final = 1_000
_MAX_LOAD_ATTEMPTS: Final = 2
_HEALTH_CHECK_PERIOD_S: Final = 2.0
_HEALTH_CHECK_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.5


def find_or_deploy(settings: Settings) -> Any:
    """The application's `serve.handle.DeploymentHandle`, once a replica runs. Raises ClusterError."""
    app = settings.cluster.app
    with _deployment_lock(app):
        status = _settled_status(app)
        if status in (None, ApplicationStatus.NOT_STARTED, ApplicationStatus.DEPLOY_FAILED):
            _deploy(settings)
            status = _settled_status(app)
    # UNHEALTHY: a replica was lost and is being replaced; the others still reply.
    if status not in (ApplicationStatus.RUNNING, ApplicationStatus.UNHEALTHY):
        state = "nothing" if status is None else status.value.lower().replace("_", " ")
        raise ClusterError(
            f"expected the models in the cluster to be running, got: {state}; see Ray's logs there"
        )
    return serve.get_app_handle(app)


def _settled_status(app: str) -> ApplicationStatus | None:
    while (status := _status(app)) in (ApplicationStatus.DEPLOYING, ApplicationStatus.DELETING):
        time.sleep(_POLL_S)
    return status


@contextmanager
def _deployment_lock(app: str) -> Iterator[None]:
    """A lock among the servers of a cluster: of two concurrent deployments one would fail. The lock is the
    name of an actor, which ends with the process that created it.
    """
    lock: Any = ray.remote(num_cpus=0)(_LockActor).options(
        name=f"{app} is being deployed", namespace="emostream"
    )
    while True:
        try:
            actor = lock.remote()
            break
        except ActorAlreadyExistsError:
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        ray.kill(actor)


class _LockActor:
    """An actor that only reserves its name."""


def _deploy(settings: Settings) -> None:
    """Deploy the models; the application is deleted again where they cannot be loaded."""
    app = settings.cluster.app
    serve.start(proxy_location="Disabled")  # replicas are not called over HTTP, so no port is opened
    try:
        serve.run(_application(settings), name=app, route_prefix=None)
    except RuntimeError as error:
        found = serve.status().applications[app].deployments.get(DEPLOYMENT)
        message = None if found is None else _model_error(found.message)
        serve.delete(app, _blocking=False)
        message = (
            message or f"expected the cluster to start the models, got: {_last_line(error)}; see Ray's logs"
        )
        raise ClusterError(message) from error


def running_replicas(app: str) -> int:
    found = serve.status().applications.get(app)
    deployment = None if found is None else found.deployments.get(DEPLOYMENT)
    return 0 if deployment is None else deployment.replica_states.get(ReplicaState.RUNNING, 0)


def _status(app: str) -> ApplicationStatus | None:
    found = serve.status().applications.get(app)
    return None if found is None else found.status


def _application(settings: Settings) -> Any:
    options = settings.cluster
    deployment = serve.deployment(
        name=DEPLOYMENT,
        max_ongoing_requests=_MAX_ONGOING,
        max_constructor_retry_count=_MAX_LOAD_ATTEMPTS,
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target_ongoing_requests,
            # Scale up fast, because requests are pending; scale down slowly, because loading takes long.
            "metrics_interval_s": 2.0,
            "look_back_period_s": 10.0,
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 300.0,
        },
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        health_check_period_s=_HEALTH_CHECK_PERIOD_S,
        health_check_timeout_s=_HEALTH_CHECK_TIMEOUT_S,
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    return deployment(Replica).bind(settings)


def _model_error(trace: str) -> str | None:
    """The message of the models' own error in a trace of Ray's."""
    messages = re.findall(r"^\s*emostream\.models\.errors\.\w+: (.+)$", trace, re.MULTILINE)
    return messages[-1] if messages else None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
