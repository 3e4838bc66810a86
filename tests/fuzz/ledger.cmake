gossamer_fuzzer(ledger_fuzz SOURCES ledger_fuzz.cpp LINKS gossamer_privacy)
