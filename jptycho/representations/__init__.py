"""How the unknowns are parameterised: pixels or networks. Nothing downstream knows which."""
