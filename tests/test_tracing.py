"""Settings as arguments of programs: what is taken out comes back, and equal structure is one program."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jptycho
from jptycho.objective.denoisers import Denoising, TotalVariation
from jptycho.objective.losses import poisson_loss
from jptycho.objective.penalties import Amorphous, OfPhase, Penalty, sparsity
from jptycho.objective.projections import LowPass, Positivity
from jptycho.objective.reference import Reference
from jptycho.representations.base import ModelSpec
from jptycho.representations.estimate import Estimate
from jptycho.representations.pixels import PixelObject, PixelProbe, Preconditioner
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.optimisers import Optimiser, schedule_of
from jptycho.tracing import is_zero, jit_settings, join_settings, split_settings, traced_fields
from jptycho.types import Integer, Number


def a_solver(rate: float = 0.1, probe_rate: float = 0.2, weight: float = 0.3) -> EnsembleSolver:
    """One that holds settings of all sorts."""
    model = ModelSpec(PixelObject("phase", Preconditioner(30.0, 0.02, (0.3, 0.4))), PixelProbe())
    inner = GradientSolver(
        model,
        poisson_loss,
        rate,
        probe_rate,
        steps=4,
        optimiser=Optimiser(options=(("b1", 0.8),), decay_steps=40),
        extra_rates=(("dose", 0.5),),
        penalties=(Penalty(OfPhase(sparsity), weight), Penalty(Amorphous(0.4), 1.0)),
        projections=(LowPass(0.9), Positivity()),
        denoisers=(Denoising(TotalVariation(7), 0.05),),
    )
    return EnsembleSolver(inner, 2)


def test_settings_come_back_as_they_were():
    solver = a_solver()
    skeleton, numbers = split_settings(solver)
    assert join_settings(skeleton, numbers) == solver
    assert sorted(numbers) == sorted([0.1, 0.2, 0.3, 0.4, 1.0, 0.9, 0.05, 0.5, 40, 30.0, 0.02, 0.3, 0.4])


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (a_solver(rate=0.7, weight=0.01), True),
        (a_solver(probe_rate=0.0), False),
        (dataclasses.replace(a_solver(), ensemble_size=3), False),
        (dataclasses.replace(a_solver(), solver=dataclasses.replace(a_solver().solver, penalties=())), False),
    ],
    ids=["numbers", "zero", "size", "penalties"],
)
def test_equal_structure_has_an_equal_skeleton(other: EnsembleSolver, same: bool):
    assert (split_settings(a_solver())[0] == split_settings(other)[0]) is same


def test_which_fields_are_traced():
    @dataclasses.dataclass(frozen=True)
    class Local:
        rate: Number
        pairs: tuple[tuple[str, Number], ...]
        steps: Integer
        size: int
        width: float

    assert traced_fields(Local) == {"rate", "pairs", "steps"}
    assert traced_fields(jptycho.representations.networks.UNetSpec) == frozenset()


def test_a_program_sees_traced_numbers_and_static_structure():
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Scale:
        by: Number
        power: int = 1

    @jit_settings("scale", static=("sign",), donate=("x",))
    def scaled(scale: Scale, x: jax.Array, sign: int) -> jax.Array:
        seen.append(scale.by)
        return sign * x if is_zero(scale.by) else sign * scale.by * x**scale.power

    assert float(scaled(Scale(2.0), jnp.array(3.0), 1)) == 6
    assert float(scaled(Scale(5.0), jnp.array(3.0), sign=1)) == 15
    assert len(seen) == 1
    assert isinstance(seen[0], jax.core.Tracer)
    assert float(scaled(Scale(2.0, 2), jnp.array(3.0), -1)) == -18
    assert float(scaled(scale=Scale(0.0), x=jnp.array(3.0), sign=1)) == 3
    assert seen[2] == 0.0
    given = jnp.arange(4.0)
    scaled(Scale(2.0), given, 1)
    assert given.is_deleted()


@dataclasses.dataclass(frozen=True, eq=False)
class Own:
    """Settings that hash by themselves and hold what cannot be hashed."""

    table: np.ndarray
    width: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", float(self.table.sum()))

    def __call__(self, estimate: Estimate, reference: Reference) -> jax.Array:
        del reference
        return self.width * jnp.mean(estimate.object)


def test_settings_without_a_number_stay_whole():
    own = Own(np.arange(3.0))
    assert split_settings(own) == (own, [])
    model = ModelSpec(PixelProbe(), PixelProbe())
    solver = GradientSolver(model, poisson_loss, 0.1, 0.2, steps=1, penalties=(Penalty(own, 0.5),))
    rebuilt = join_settings(*split_settings(solver))
    assert rebuilt.penalties[0].term is own
    assert rebuilt.penalties[0].term.total == 3.0


@pytest.mark.parametrize("zero", [0, 0.0, np.float32(0), np.float64(0), np.int64(0)])
def test_a_zero_of_any_type_is_off(zero: float):
    assert is_zero(zero)
    assert len(split_settings(a_solver(probe_rate=zero))[1]) == 12


@pytest.mark.parametrize("zero", [0, np.int64(0)])
def test_a_schedule_of_no_steps_is_constant(zero: int):
    schedule = schedule_of(Optimiser(warm_up=zero, decay_steps=zero, last_steps=zero), 0.5)
    assert [float(schedule(step)) for step in (0, 1, 9)] == [0.5, 0.5, 0.5]


def test_numbers_of_numpy_are_traced_as_those_of_python():
    solver, numbers = split_settings(a_solver(rate=np.float32(0.25)))
    assert solver == split_settings(a_solver(rate=0.5))[0]
    assert all(type(number) in (int, float) for number in numbers)


def test_a_program_can_be_lowered():
    @dataclasses.dataclass(frozen=True)
    class Scale:
        by: Number

    @jit_settings("scale")
    def scaled(scale: Scale, x: jax.Array) -> jax.Array:
        return scale.by * x

    assert "multiply" in scaled.lower(Scale(2.0), jnp.ones(3)).as_text()


def test_schedules_are_those_of_optax():
    for warm_up, decay in ((0, 20), (5, 20), (5, 0), (0, 0)):
        ours = jax.jit(lambda step, w=warm_up, d=decay: schedule_of(Optimiser(warm_up=w, decay_steps=d), 0.3)(step))
        if decay:
            start = 0.0 if warm_up else 0.3
            theirs = optax.warmup_cosine_decay_schedule(start, 0.3, warm_up, warm_up + decay, 0.03)
        else:
            theirs = optax.linear_schedule(0.0, 0.3, warm_up) if warm_up else optax.constant_schedule(0.3)
        for step in range(30):
            assert float(ours(step)) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-7)
