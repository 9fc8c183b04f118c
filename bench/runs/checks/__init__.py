"""The checks: each is a pure function from a case to its result. `bench.runs.judge.CHECKS` names them all."""
