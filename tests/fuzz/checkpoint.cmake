# The readers of a run's own files.
gossamer_fuzzer(checkpoint_fuzz SOURCES checkpoint_fuzz.cpp LINKS gossamer_core)
gossamer_fuzzer(metrics_fuzz SOURCES metrics_fuzz.cpp LINKS gossamer_core)
