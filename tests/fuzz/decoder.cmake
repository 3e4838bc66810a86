gossamer_fuzzer(decoder_fuzz SOURCES decoder_fuzz.cpp LINKS gossamer_server)
