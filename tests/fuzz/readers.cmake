# The file readers, on bytes that are no file.
foreach(reader cifar csv idx npy shakespeare)
  gossamer_fuzzer(fuzz_read_${reader} SOURCES read_${reader}_fuzz.cpp LINKS gossamer_datasets)
endforeach()
