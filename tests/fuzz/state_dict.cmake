gossamer_fuzzer(state_dict_fuzz
  SOURCES state_dict_fuzz.cpp ${CMAKE_SOURCE_DIR}/client/models/state_dict.cpp
  LINKS gossamer_core)
