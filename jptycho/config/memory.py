"""The table that says how much memory a run may take."""

from __future__ import annotations

from typing import Literal

from jptycho.settings import AUTO, Field, Positive, Section


class MemorySettings(Section):
    """``[memory]``: what a run may take, and what it does where a scan is larger."""

    limit: Positive | None = Field(
        None, description="GB that a run may take of the machine, and of its device; none: what is free"
    )
    stream: bool | Literal["auto"] = Field(
        AUTO, description="read the patterns again in every epoch instead of holding them; auto: where they do not fit"
    )
    chunk: Positive | None = Field(
        None, description="MB of patterns that are read at once where they are streamed; none: 256, or what fits"
    )
