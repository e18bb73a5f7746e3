"""One module for each vector file: `build()` lists its cases, `run(case)` recomputes one."""
