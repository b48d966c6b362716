"""The native engine: a graph becomes a program of vector instructions that C++ executes.

``planner`` turns a graph into a plan, sweep by sweep, by the rules of ``rules``; ``matrix`` packs
its weights, ``memory`` lays it out, ``library`` builds the C++, ``engine`` runs it. The C++ knows
no graph and is the same for all: it is built once.
"""

from penstock_runtime.engines.native.engine import NativeEngine

__all__ = ["NativeEngine"]
