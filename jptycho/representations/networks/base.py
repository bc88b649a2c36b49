"""The protocol of a network: from the estimates that a generated object or probe sees to its image."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jptycho.types import Array, Float, Params


@runtime_checkable
class Network(Protocol):
    """A frozen, hashable dataclass: two pure functions, of Flax or not, and what they ask of their image.

    Images lie as (images, Y, X, channels), standardised; the output has the shape of the input.
    """

    @property
    def multiple(self) -> int:
        """Rows and columns are padded to multiples of this number."""
        ...

    @property
    def slices_are_images(self) -> bool:
        """Whether each slice is an image of its own; else all slices are channels of one image."""
        ...

    def init(self, key: Array, image: Float[Array, "n Y X channels"]) -> Params:
        """Random weights, a pytree of real arrays."""
        ...

    def apply(self, params: Params, image: Float[Array, "n Y X channels"]) -> Float[Array, "n Y X channels"]:
        """The output, in the type of the image."""
        ...

    def silence(self, params: Params) -> Params:
        """The weights, changed so that the output is zero and can be learned from there, such as a last layer of
        zeros."""
        ...
