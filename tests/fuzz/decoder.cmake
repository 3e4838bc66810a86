gossamer_fuzzer(fuzz_decoder SOURCES decoder.cpp LINKS gossamer_comms)
