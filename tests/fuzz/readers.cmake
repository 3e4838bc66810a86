# The file readers, on bytes that are no file.
foreach(reader cifar csv idx npy shakespeare)
  gossamer_fuzzer(read_${reader}_fuzz SOURCES read_${reader}_fuzz.cpp LINKS gossamer_datasets)
endforeach()
