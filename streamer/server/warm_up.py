"""The server's work of every second: warm up the models, sample the load, enforce the sessions' limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Final

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Clip

from ..audio.decode import decode_file
from ..clock import Clock
from ..errors import AnalysisError, SourceError
from ..inference.admission import AdmissionController
from ..inference.backend import InferenceBackend
from ..inference.request import RequestShedError

log = logging.getLogger(__name__)

_PERIOD_S: Final = 1.0
_SPEECH_S: Final = 4
_NOISE_S: Final = 0.5
_NOISE_LEVEL: Final = 0.01


class Watchdog:
    """What one stream costs is measured by the warm-up before there is a stream, and afterwards by the active
    ones.

    enforce_limits: called once a second.
    """

    def __init__(
        self,
        engine: InferenceBackend,
        admission: AdmissionController,
        clock: Clock,
        enforce_limits: Callable[[], None],
    ) -> None:
        self.warm = False  # whether the models have analysed a first clip
        self._measured = False
        self._engine = engine
        self._admission = admission
        self._clock = clock
        self._enforce_limits = enforce_limits

    async def run(self) -> None:
        """Until cancelled."""
        warming_up: asyncio.Task[None] | None = None
        try:
            while True:
                if not self._measured and (warming_up is None or warming_up.done()):
                    # In a task of its own: a model that does not answer must not hold up the rest.
                    self._admission.begin_warm_up()
                    warming_up = asyncio.create_task(self._warm_up(), name="warm-up")
                self._tick(warming_up=warming_up is not None and not warming_up.done())
                await self._clock.sleep_until(self._clock.now() + _PERIOD_S)
        finally:
            if warming_up is not None:
                warming_up.cancel()

    def _tick(self, *, warming_up: bool) -> None:
        if not warming_up:  # no stream causes the load of a warm-up
            self._admission.sample()
        try:
            self._enforce_limits()
        except Exception:
            log.exception("the limits of a session could not be enforced")

    async def _warm_up(self) -> None:
        """Analyse one utterance and note its cost. Where that fails, the next second tries again."""
        try:
            # A little noise takes what is slow in a first call; what speech costs is measured behind that.
            if not self.warm:
                await self._engine.warm_up(noise_clip())
                self.warm = True
            speech = await asyncio.to_thread(speech_clip)
            self._admission.expect(await self._engine.warm_up(speech))
        except SourceError as error:  # the recording is missing, the models are not
            log.warning("the cost of a stream was not measured: %s", error)
        except RequestShedError:
            return  # the models are too busy
        except AnalysisError as error:
            log.warning("the warm-up failed: %s", error)
            return
        except Exception:
            log.exception("the warm-up failed")
            return
        finally:
            self._admission.end_warm_up()
        self._measured = True


def noise_clip() -> Clip:
    """Soft and yet no silence, with nothing to transcribe."""
    noise = np.random.default_rng(0).normal(0.0, _NOISE_LEVEL, int(_NOISE_S * SAMPLE_RATE_HZ))
    return Clip(noise.astype(np.float32))


def speech_clip() -> Clip:
    """Four seconds from the demo's recording. Raises SourceError."""
    with as_file(files("emostream.demo") / "recording.ogg") as file:
        return Clip(decode_file(file)[: _SPEECH_S * SAMPLE_RATE_HZ])
