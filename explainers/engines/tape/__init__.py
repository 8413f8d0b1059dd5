"""A computation that is repeated many times, recorded once and played back."""

from explainers.engines.tape.recorder import NotRecorded, Tape

__all__ = ["NotRecorded", "Tape"]
