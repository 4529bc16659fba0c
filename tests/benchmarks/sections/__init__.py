"""What is measured, a module per kind of work; each offers `run(bench) -> list[Result]`."""
